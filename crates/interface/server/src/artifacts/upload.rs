//! Uploads: a body that arrives chunk by chunk, read by a store that blocks.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;

use crate::frame::{ApiError, Code, Pool, RequestBody, next_chunk};

/// Chunks that wait between network and disk.
const QUEUE: usize = 8;

/// Reads what [`receive`] passes on. It ends well only where the whole body has come, so that half a file is never kept.
pub(super) struct Incoming {
    chunks: mpsc::Receiver<Option<Bytes>>,
    current: Bytes,
    whole: bool,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.whole {
            match self.chunks.blocking_recv() {
                Some(Some(chunk)) => self.current = chunk,
                Some(None) => self.whole = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the upload broke off")),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Passes a body of at most `limit` bytes to `write`, which runs where it may block.
pub(super) async fn receive<T: Send + 'static>(
    pool: &Pool,
    body: &mut RequestBody,
    limit: Option<u64>,
    write: impl FnOnce(Incoming) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let (sender, chunks) = mpsc::channel(QUEUE);
    let writing =
        pool.upload(move || write(Incoming { chunks, current: Bytes::new(), whole: false })).await?;
    let mut size = 0;
    let received = loop {
        match next_chunk(body).await {
            Err(error) => break Err(error),
            Ok(None) => {
                // Where the writer has given up already, its own error is the better one.
                let _ = sender.send(None).await;
                break Ok(());
            }
            Ok(Some(chunk)) => {
                size += chunk.len() as u64;
                if limit.is_some_and(|limit| size > limit) {
                    break Err(too_large(limit));
                }
                if sender.send(Some(chunk)).await.is_err() {
                    break Ok(());
                }
            }
        }
    };
    drop(sender);
    let written = crate::frame::outcome(writing).await;
    received.and(written)
}

pub(super) fn too_large(limit: Option<u64>) -> ApiError {
    ApiError::new(Code::TOO_LARGE, format!("the artifact is larger than {} bytes", limit.unwrap_or_default()))
}
