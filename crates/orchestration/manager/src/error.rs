//! Why a run could not be started, or what became of it is not known.

use std::io;
use std::path::PathBuf;

use fulmen_tracking::TrackingError;
use fulmen_utils::atomic::WriteError;

/// Why a run could not be started, or what became of it is not known.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// The worker program is not there.
    #[error("the worker program is not at {}: build it (`cargo build --release -p fulmen-worker`), or name it in FULMEN_WORKER", .path.display())]
    NoWorker {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The worker program could not be started, or answered something else.
    #[error("the worker program {} {reason}", .path.display())]
    Worker {
        /// The program.
        path: PathBuf,
        /// What it did.
        reason: String,
    },
    /// The run's folder could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file of a run could not be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The place of a run's artifacts cannot be used.
    #[error(transparent)]
    Storage(#[from] fulmen_storage::StorageError),
    /// The tracking store refused.
    #[error(transparent)]
    Tracking(#[from] TrackingError),
    /// An environment variable has a value that means nothing.
    #[error("the environment variable {name} is '{value}': {expected} is expected")]
    Environment {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// No run, or more than one, goes by this id or name.
    #[error("{0}")]
    NoRun(String),
    /// A run that is encrypted, or is to be, cannot go on so.
    #[error("{0}")]
    Encrypted(String),
    /// The run has nothing to start from.
    #[error("{0}")]
    NoCheckpoint(String),
}
