//! How batches are made, under the names of torch's `DataLoader`.

use std::num::NonZeroUsize;

use fulmen_registry::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sampler::SamplerKind;

/// How batches are made, under the names of torch's `DataLoader`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataLoaderConfig {
    /// Samples a batch in training.
    #[serde(default = "default_batch_size")]
    #[schemars(extend("minimum" = 1))]
    pub batch_size: NonZeroUsize,
    /// Samples a batch in validation, test and prediction. Left out: as in training.
    #[serde(default)]
    pub eval_batch_size: Option<NonZeroUsize>,
    /// Threads that read ahead; 0 reads in the training thread itself.
    #[serde(default)]
    pub num_workers: usize,
    /// Batches that each thread may be ahead.
    #[serde(default = "default_prefetch_factor")]
    #[schemars(extend("minimum" = 1))]
    pub prefetch_factor: NonZeroUsize,
    /// Whether the training data comes in a new order each epoch. A sampler decides that itself.
    #[serde(default = "yes")]
    pub shuffle: bool,
    /// Which training samples make an epoch, in which order; null: all of them, as `shuffle` says.
    #[serde(default)]
    pub sampler: Option<Component<SamplerKind>>,
    /// Whether a last training batch of fewer samples is left out.
    #[serde(default)]
    pub drop_last: bool,
    /// Seconds without a batch after which the run fails; 0 waits for ever. Needs `num_workers`.
    #[serde(default)]
    pub timeout: u64,
    /// Seconds without a batch after which a warning says what is waited for; null is silent.
    #[serde(default = "default_stall_warning")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub stall_warning: Option<f64>,
    /// Whether batches are put into page-locked memory, from which a copy to a CUDA device need not be waited for: `auto` where the
    /// model is on such a device. Without one it changes nothing.
    #[serde(default)]
    pub pin_memory: PinMemory,
}

/// Whether batches are put into page-locked memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PinMemory {
    /// Always for CUDA devices, or never.
    Switch(bool),
    /// As Fulmen thinks best: for CUDA devices.
    Auto(Auto),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// `auto`.
    Auto,
}

impl Default for PinMemory {
    fn default() -> Self {
        Self::Auto(Auto::Auto)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
const fn default_stall_warning() -> Option<f64> {
    Some(60.0)
}

fn default_batch_size() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(63)
}

fn default_prefetch_factor() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(1)
}

const fn yes() -> bool {
    true
}

impl Default for DataLoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: default_batch_size(),
            eval_batch_size: None,
            num_workers: 0,
            prefetch_factor: default_prefetch_factor(),
            shuffle: true,
            sampler: None,
            drop_last: false,
            timeout: 0,
            stall_warning: default_stall_warning(),
            pin_memory: PinMemory::default(),
        }
    }
}
