//! The asynchronous side: one small runtime a process, which blocking callers hand their requests to.

use std::{
    future::Future,
    sync::{OnceLock, mpsc},
};

use tokio::runtime::{Builder, Runtime};

use crate::StorageError;

/// Threads that wait for the network: requests cost no computing.
const THREADS: usize = 2;

/// The runtime of this process, started by the first request.
pub(super) fn runtime() -> Result<&'static Runtime, StorageError> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let built = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("fulmen-storage")
        .enable_all()
        .build()
        .map_err(|source| StorageError::Io {
            path: "object store".into(),
            action: "start its threads",
            source,
        })?;
    // Of two threads that come at once one is first; the other's runtime is let go.
    Ok(RUNTIME.get_or_init(|| built))
}

/// Starts a request; what it returns yields the answer.
pub(super) fn start<T: Send + 'static>(
    request: impl Future<Output = T> + Send + 'static,
) -> Result<Pending<T>, StorageError> {
    let (send, receive) = mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        // Nobody waits any more where the caller has given up.
        let _ = send.send(request.await);
    });
    Ok(Pending(receive))
}

/// A request that was started.
#[derive(Debug)]
pub(super) struct Pending<T>(mpsc::Receiver<T>);

impl<T> Pending<T> {
    /// Blocks until the answer is there.
    pub(super) fn wait(self) -> Result<T, StorageError> {
        self.0.recv().map_err(|_| StorageError::Io {
            path: "object store".into(),
            action: "finish a request",
            source: std::io::Error::other("the request's task ended without an answer"),
        })
    }
}

/// Carries a request out, and blocks until it is answered.
pub(super) fn wait<T: Send + 'static>(
    request: impl Future<Output = T> + Send + 'static,
) -> Result<T, StorageError> {
    start(request)?.wait()
}
