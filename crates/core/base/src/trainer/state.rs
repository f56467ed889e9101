//! How far training has come.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// What was found before training and takes the place of the configured value, also when the run goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// Samples a training batch.
    pub batch_size: Option<NonZeroUsize>,
    /// Learning rate of every group.
    pub learning_rate: Option<f64>,
}

/// How far training has come: all that a resumed run needs beside the tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainerState {
    /// The current epoch, from 0.
    pub epoch: u64,
    /// Batches of this epoch that are done.
    pub batch: u64,
    /// Optimizer steps since the run began.
    pub global_step: u64,
    /// Training batches since the run began.
    #[serde(default)]
    pub total_batches: u64,
    /// Training samples since the run began.
    #[serde(default)]
    pub samples: u64,
    /// Batches whose gradients wait for the step of their window.
    #[serde(default)]
    pub window: u64,
    /// Batches that make a step.
    #[serde(default)]
    pub accumulate_grad_batches: u64,
    /// Whether the validation that is due after [`Self::batch`] batches is done.
    #[serde(default)]
    pub validated: bool,
    /// Whether there has been a validation at all.
    #[serde(default)]
    pub ever_validated: bool,
    /// Whether this epoch is done, its validation included.
    pub epoch_done: bool,
    /// Milliseconds that training has taken, in all its sessions.
    #[serde(default)]
    pub elapsed_ms: u64,
    /// `elapsed_ms` at the last validation, for intervals by the clock.
    #[serde(default)]
    pub validated_at_ms: u64,
    /// What was found before training.
    #[serde(default)]
    pub tuned: Tuned,
    /// Whether the batch that was just done ended in an optimizer step.
    #[serde(skip)]
    pub stepped: bool,
    /// Whether the step that was just done is one whose metrics are recorded.
    #[serde(skip)]
    pub logs_this_step: bool,
}
