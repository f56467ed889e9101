//! Why a run could not be made of a command line.

use fulmen_configuration::ConfigError;
use fulmen_encryption::EncryptionError;
use fulmen_manager::ManagerError;
use fulmen_storage::StorageError;

use crate::Problems;

/// Why a run could not be made of a command line.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The configuration does not compose.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration composes, and does not fit the components that it names.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// A keyring could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A key is missing, or does not open what it should.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// The run could not be started.
    #[error(transparent)]
    Manager(#[from] ManagerError),
}
