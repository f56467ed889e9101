//! How far training has come.

use serde::{Deserialize, Serialize};

/// How far training has come: all that a resumed run needs beside the tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainerState {
    /// The current epoch, from 0.
    pub epoch: u64,
    /// Batches of this epoch that are done.
    pub batch: u64,
    /// Optimizer steps since the run began.
    pub global_step: u64,
    /// Whether this epoch is done, its validation included.
    pub epoch_done: bool,
    /// Whether the batch that was just done ended in an optimizer step.
    #[serde(skip)]
    pub stepped: bool,
    /// Whether the step that was just done is one whose metrics are recorded.
    #[serde(skip)]
    pub logs_this_step: bool,
}
