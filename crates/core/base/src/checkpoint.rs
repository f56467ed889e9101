//! Checkpoints: a folder of safetensors and JSON with a checksum manifest, there whole or not at all.
//!
//! ```text
//! checkpoints/epoch=3-step=96/
//! ├── model.safetensors        parameters and buffers, under PyTorch's names
//! ├── optimizer.safetensors    the optimizer's state, as <parameter>.<name>
//! ├── gradients.safetensors    of a window of accumulation that is not at its end
//! ├── metrics.safetensors      what metrics have counted in an epoch that is not at its end
//! ├── callbacks.safetensors    tensors of callbacks, such as averaged weights
//! ├── state.json               how far training had come, and the state of everything else
//! └── manifest.json            format, and the BLAKE3 digest of each file above
//! ```
//!
//! Where checkpoints are encrypted, each of these is an age file; the digests are those of what is inside.
//!
//! `checkpoint/write.rs` says in which order a save touches the disk, `checkpoint/saver.rs` how training goes on meanwhile.

mod files;
mod manifest;
mod open;
mod saver;
mod snapshot;
mod write;

use std::collections::BTreeMap;

use fulmen_torch::tch::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use open::Checkpoint;
pub(crate) use saver::{Save, Saver};
pub use write::{save, sweep};

use crate::trainer::TrainerState;

/// The file of a checkpoint that PyTorch reads as it is.
pub const MODEL_FILE: &str = "model.safetensors";
const OPTIMIZER_FILE: &str = "optimizer.safetensors";
const GRADIENTS_FILE: &str = "gradients.safetensors";
const METRICS_FILE: &str = "metrics.safetensors";
const CALLBACKS_FILE: &str = "callbacks.safetensors";
const STATE_FILE: &str = "state.json";

/// What is saved beside the tensors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SavedState {
    /// How far training had come.
    pub trainer: TrainerState,
    /// The state of each callback, by its name in the config.
    pub callbacks: BTreeMap<String, Value>,
    /// Steps and schedule of each optimizer, by its name.
    #[serde(default)]
    pub schedules: Value,
    /// The loss scale, where the precision has one.
    #[serde(default)]
    pub scaler: Option<Value>,
    /// The latest metrics, as `stage/metric`.
    #[serde(default)]
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Bytes of the run's record of metrics that were written by then.
    #[serde(default)]
    pub recorded: u64,
    /// What the model's own hook keeps.
    #[serde(default)]
    pub model: Value,
    /// What the data module keeps.
    #[serde(default)]
    pub data: Value,
    /// What bit-equality depends on beside the configuration.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The composed configuration of the run.
    pub config: Value,
}

/// The tensors of a checkpoint, by the file that holds them. A file of none is left out.
#[derive(Debug, Default)]
pub struct Tensors {
    /// Parameters and buffers.
    pub model: Vec<(String, Tensor)>,
    /// The optimizers' state.
    pub optimizer: Vec<(String, Tensor)>,
    /// Gradients of an open window.
    pub gradients: Vec<(String, Tensor)>,
    /// What metrics, and the means of what steps log, have counted.
    pub metrics: Vec<(String, Tensor)>,
    /// Of callbacks, as `<callback>/<name>`.
    pub callbacks: Vec<(String, Tensor)>,
}

impl Tensors {
    /// Each file's name and what it holds; the first two are always there.
    fn files(&self) -> impl Iterator<Item = (&'static str, &[(String, Tensor)])> {
        let all = [
            (MODEL_FILE, self.model.as_slice()),
            (OPTIMIZER_FILE, &self.optimizer),
            (GRADIENTS_FILE, &self.gradients),
            (METRICS_FILE, &self.metrics),
            (CALLBACKS_FILE, &self.callbacks),
        ];
        all.into_iter()
            .enumerate()
            .filter(|(place, (_, held))| *place < 2 || !held.is_empty())
            .map(|(_, file)| file)
    }
}
