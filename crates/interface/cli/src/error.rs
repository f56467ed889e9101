//! Why a command could not be carried out.

use fulmen_configuration::ConfigError;
use fulmen_encryption::EncryptionError;
use fulmen_manager::ManagerError;
use fulmen_runner::{Problems, RunnerError};
use fulmen_server::ServerError;
use fulmen_storage::StorageError;
use fulmen_tracking::TrackingError;
use fulmen_utils::atomic::WriteError;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line itself is wrong.
    #[error("{0}")]
    Usage(String),
    /// The configuration does not compose.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration does not fit the components that it names.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// A run could not be started or found.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// The store refused.
    #[error(transparent)]
    Tracking(#[from] TrackingError),
    /// The server could not be started.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Artifacts or the cache could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A key is missing, or what it opens is damaged.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// Output could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl CliError {
    /// The command line itself is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }
}

impl From<RunnerError> for CliError {
    fn from(error: RunnerError) -> Self {
        match error {
            RunnerError::Config(error) => Self::Config(error),
            RunnerError::Problems(problems) => Self::Problems(problems),
            RunnerError::Manager(error) => Self::Manager(error),
            RunnerError::Storage(error) => Self::Storage(error),
            RunnerError::Encryption(error) => Self::Encryption(error),
        }
    }
}
