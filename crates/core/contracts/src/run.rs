//! What a worker is asked to do: one JSON object on its standard input.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Secret;

/// What a worker does with a composed configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Trains, then tests where the dataset has a test split.
    Train,
    /// Evaluates on the validation split.
    Validate,
    /// Evaluates on the test split.
    Test,
    /// Predicts for files of the user's.
    Predict {
        /// A file, or a folder of files.
        input: PathBuf,
    },
}

/// The record of metrics in a run's own folder: one `metrics` event a line, as the run has measured them.
pub const METRICS_RECORD: &str = "metrics.jsonl";

/// The folder of checkpoints in a run's own folder.
pub const CHECKPOINTS: &str = "checkpoints";

/// What a worker encrypts and decrypts with. The configuration's section `encryption` says what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunKeys {
    /// The data keys, as a keyring exposes them.
    pub data_keys: Secret,
    /// The run whose files they are: where it is evaluated, that is another than the one that is asked for here.
    pub run_id: String,
}

/// One run in one process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// [`crate::CONTRACT_VERSION`] of who wrote it.
    pub contract_version: u32,
    /// 32 hexadecimal digits.
    pub run_id: String,
    /// The run's own folder; checkpoints go below it.
    pub folder: PathBuf,
    /// What to do.
    #[serde(flatten)]
    pub command: Command,
    /// The checkpoint folder to start from.
    pub checkpoint: Option<PathBuf>,
    /// Whether optimizer, schedules and loops go on where that checkpoint left them (`resume`), or only weights are read.
    pub resume: bool,
    /// The keys, where something is encrypted.
    pub keys: Option<RunKeys>,
    /// The composed and resolved configuration.
    pub config: serde_json::Value,
}
