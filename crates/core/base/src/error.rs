//! What can go wrong between a config and a trained model.

use std::path::PathBuf;

use fulmen_contracts::SchemaError;
use fulmen_encryption::EncryptionError;
use fulmen_registry::BuildError;
use fulmen_torch::TorchError;
use fulmen_torch::tch::TchError;
use fulmen_utils::atomic::WriteError;

/// The result of everything in this crate and in plugins.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a config and a trained model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A config value that cannot be met: `key` says which.
    #[error("{message}")]
    Config {
        /// The config key.
        key: String,
        /// What is wrong, what was expected, the way out.
        message: String,
    },
    /// A component could not be built: `key` says where in the config it stands.
    #[error("{source}")]
    Build {
        /// The config key of the component.
        key: String,
        /// Why.
        source: Box<BuildError>,
    },
    /// A file of the user's that cannot be read as what it should be.
    #[error("{}: {message}", .path.display())]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, what was expected, the way out.
        message: String,
    },
    /// Data and model, or model and task, do not fit.
    #[error("{between} do not fit: {source}")]
    Contract {
        /// Which two.
        between: String,
        /// What differs.
        source: Box<SchemaError>,
    },
    /// A tensor that a component needs is not in the batch.
    #[error("there is no tensor '{name}' here; there are {known}")]
    NoTensor {
        /// Its name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A checkpoint that cannot be used.
    #[error("{}: {message}", .path.display())]
    Checkpoint {
        /// Its folder or file.
        path: PathBuf,
        /// What is wrong and the way out.
        message: String,
    },
    /// A file that no key at hand opens, or that is not as it was encrypted.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// Output that could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(String),
    /// Predictions and targets that a metric cannot be counted on.
    #[error("metric: {0}")]
    Metric(String),
    /// A hook failed.
    #[error("{owner}, {hook}: {source}")]
    Hook {
        /// Whose: `callback 'early_stopping'`, `the model`.
        owner: String,
        /// Which: `on_train_batch_end`.
        hook: &'static str,
        /// Why.
        source: Box<Self>,
    },
    /// The data loader could not make a batch: a dataset panicked.
    #[error("the data loader could not make batch {batch} ({samples}): {message}")]
    Loader {
        /// Its number in the epoch.
        batch: u64,
        /// Its samples, and the one that was being read.
        samples: String,
        /// What the panic said.
        message: String,
    },
    /// The step itself failed, in a component that panicked or in libtorch.
    #[error("{stage} step {step} failed: {message}")]
    Step {
        /// Which stage.
        stage: &'static str,
        /// Batches of the stage done before.
        step: u64,
        /// What it said.
        message: String,
    },
    /// A loss or a gradient that is not finite, found by `detect_anomaly`.
    #[error("{stage} step {step}: {message}")]
    NonFinite {
        /// Which stage.
        stage: &'static str,
        /// Batches of the stage done before.
        step: u64,
        /// The layer where it began, by the name of its parameters, where one is known.
        layer: Option<String>,
        /// What is not finite and where it began.
        message: String,
    },
    /// The loader gave no batch in the time that it has.
    #[error("the loader has given no batch for {seconds} s (dataloader.timeout): {samples}")]
    Stalled {
        /// The batch that is waited for, within its epoch.
        batch: u64,
        /// What it is made of.
        samples: String,
        /// How long it was waited for.
        seconds: u64,
    },
}

impl Error {
    /// A config value that cannot be met.
    pub fn config(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { key: key.into(), message: message.into() }
    }

    /// A file that cannot be read as what it should be.
    pub fn data(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Data { path: path.into(), message: message.into() }
    }

    /// A checkpoint that cannot be used.
    pub fn checkpoint(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.into(), message: message.into() }
    }

    /// The same, of the metric called `name`.
    pub(crate) fn of_metric(self, name: &str) -> Self {
        match self {
            Self::Metric(message) => Self::Metric(format!("{name}: {message}")),
            other => other,
        }
    }

    /// The config key it is about, if it is about one.
    pub fn key(&self) -> Option<String> {
        match self {
            Self::Config { key, .. } => Some(key.clone()),
            Self::Build { key, source } => Some(source.key_below(key)),
            _ => None,
        }
    }
}

impl From<TorchError> for Error {
    fn from(error: TorchError) -> Self {
        Self::Torch(error.0)
    }
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::Torch(error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}
