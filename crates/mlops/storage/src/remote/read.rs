//! Reading objects as a stream: a task fetches ahead, a few chunks at most.

use std::{
    fmt,
    io::{self, Read},
};

use futures_util::StreamExt as _;
use object_store::{ObjectStoreExt as _, path::Path};
use tokio::sync::mpsc::{Receiver, channel};

use super::{RemoteStore, error::sort, runtime};
use crate::StorageError;

/// Chunks that wait to be read.
const AHEAD: usize = 8;

/// An object that is being read. Dropping it ends the transfer.
pub(crate) struct RemoteReader {
    chunks: Receiver<object_store::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
    left: u64,
    uri: String,
    variables: &'static str,
}

impl RemoteStore {
    pub(crate) fn open(&self, name: &str) -> Result<RemoteReader, StorageError> {
        let key = self.key(name)?;
        self.open_key(key, self.uri_of(name))
    }

    fn open_key(&self, key: Path, uri: String) -> Result<RemoteReader, StorageError> {
        let objects = self.objects.clone();
        let got =
            self.answer(&uri, "read the object", runtime::wait(async move { objects.get(&key).await })?)?;
        let left = got.meta.size;
        let (send, chunks) = channel(AHEAD);
        let mut stream = got.into_stream();
        runtime::runtime()?.spawn(async move {
            while let Some(chunk) = stream.next().await {
                if send.send(chunk.map(Vec::from)).await.is_err() {
                    break;
                }
            }
        });
        Ok(RemoteReader { chunks, chunk: io::Cursor::default(), left, uri, variables: self.variables })
    }
}

impl Read for RemoteReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.chunk.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => {
                    self.left = self.left.saturating_sub(chunk.len() as u64);
                    self.chunk = io::Cursor::new(chunk);
                }
                Some(Err(error)) => {
                    return Err(io::Error::other(sort(&self.uri, self.variables, "read the object", error)));
                }
                None if self.left > 0 => {
                    let message = format!("{}: the object ended {} bytes early", self.uri, self.left);
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
                }
                None => return Ok(0),
            }
        }
    }
}

impl fmt::Debug for RemoteReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RemoteReader").field("uri", &self.uri).finish_non_exhaustive()
    }
}
