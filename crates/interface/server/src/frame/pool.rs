//! Where blocking work runs: store calls and file transfers on threads of their own, only so many at once.

use std::sync::Arc;

use tokio::{sync::Semaphore, task::JoinHandle};

use super::{ApiError, Code};

/// Store calls at once. SQLite has one writer; the others read, or wait for their turn.
const CALLS: usize = 24;
/// Uploads at once; each keeps a thread for as long as its client sends.
const UPLOADS: usize = 64;
/// Threads for all of these, and for the reads of downloads.
pub(crate) const THREADS: usize = CALLS + UPLOADS + 16;

/// The bounded pool.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    calls: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { calls: Arc::new(Semaphore::new(CALLS)), uploads: Arc::new(Semaphore::new(UPLOADS)) }
    }
}

impl Pool {
    /// Runs a short call that blocks.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        outcome(start(&self.calls, work).await?).await
    }

    /// Starts an upload, which blocks for as long as its client sends.
    pub(crate) async fn upload<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<JoinHandle<Result<T, ApiError>>, ApiError> {
        start(&self.uploads, work).await
    }
}

async fn start<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<JoinHandle<Result<T, ApiError>>, ApiError> {
    let turn = Arc::clone(turns).acquire_owned().await;
    let turn = turn.map_err(|_| ApiError::new(Code::UNAVAILABLE, "the server is shutting down"))?;
    Ok(tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    }))
}

/// Waits for work; a panic in it is an error of the server, which goes on.
pub(crate) async fn outcome<T>(work: JoinHandle<Result<T, ApiError>>) -> Result<T, ApiError> {
    let failed = |_| ApiError::new(Code::INTERNAL, "the server failed at this request; its log says more");
    work.await.map_err(failed)?
}
