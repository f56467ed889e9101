//! Why a run could not be made of a command line.

use fulmen_configuration::ConfigError;
use fulmen_manager::ManagerError;

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
    /// The run could not be started.
    #[error(transparent)]
    Manager(#[from] ManagerError),
}
