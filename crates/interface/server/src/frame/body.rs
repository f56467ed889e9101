//! Request bodies: read whole within a limit, or chunk by chunk; never waited for without end.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};

use super::{ApiError, Code};

/// The bytes of a request, wherever they come from.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Longest wait for the next bytes of a body.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes that are taken in of a body that nobody wants, and the longest that it may take: a client that is still
/// sending when its connection ends never reads why.
const DRAINED: usize = 64 << 20;
const DRAINING: Duration = Duration::from_secs(5);

/// The next bytes of a body; `None` at its end.
pub(crate) async fn next_chunk(body: &mut RequestBody) -> Result<Option<Bytes>, ApiError> {
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
        match frame {
            Err(_) => return Err(ApiError::new(Code::TOO_SLOW, "the request's body stopped coming")),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => {
                return Err(ApiError::invalid(format!("the request's body broke off: {error}")));
            }
            Ok(Some(Ok(frame))) => {
                // What is no data is a trailer, which nobody asked for.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Takes in the rest of a body whose request is refused, so that the connection can serve the next one; a long rest is
/// left, and ends the connection.
pub(crate) async fn drain(body: &mut RequestBody) {
    let take_in = async {
        let mut left = DRAINED;
        while let Ok(Some(chunk)) = next_chunk(body).await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    let _ = tokio::time::timeout(DRAINING, take_in).await;
}

/// A whole body of at most `limit` bytes.
pub(crate) async fn read_whole(body: &mut RequestBody, limit: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let message = format!("the request's body is larger than {limit} bytes");
        ApiError::new(Code::TOO_LARGE, message)
    };
    let announced = hyper::body::Body::size_hint(body).lower();
    if announced > limit as u64 {
        return Err(too_large());
    }
    // What is announced need not come, so only a little is reserved for it.
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0).min(1 << 20));
    while let Some(chunk) = next_chunk(body).await? {
        if bytes.len() + chunk.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
