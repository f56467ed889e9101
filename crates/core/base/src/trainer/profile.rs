//! Where a step's time goes: what a profiler is told.

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use fulmen_contracts::event::Profile;

use crate::{Hook, Result};

/// A part of training that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action<'a> {
    /// Waiting for the loader.
    Data,
    /// Moving a batch to the device.
    Transfer,
    /// The model's step: forward pass and loss.
    Forward,
    /// The backward pass.
    Backward,
    /// Clipping and the optimizer's step.
    Optimizer,
    /// A whole pass over the validation data.
    Validation,
    /// What a checkpoint holds training up.
    Checkpoint,
    /// A hook of a callback, or of the model.
    Hook(&'a str, Hook),
}

impl Action<'_> {
    /// Its name in a table, close to Lightning's.
    pub fn name(self) -> String {
        match self {
            Self::Data => "[DataLoader].next".to_owned(),
            Self::Transfer => "[Strategy].batch_to_device".to_owned(),
            Self::Forward => "[Model].step".to_owned(),
            Self::Backward => "[Strategy].backward".to_owned(),
            Self::Optimizer => "[Optimizer].optimizer_step".to_owned(),
            Self::Validation => "[EvaluationLoop].run".to_owned(),
            Self::Checkpoint => "[Trainer].save_checkpoint".to_owned(),
            Self::Hook("model", hook) => format!("[Model].{}", hook.name()),
            Self::Hook(owner, hook) => format!("[Callback]{owner}.{}", hook.name()),
        }
    }
}

/// Told how long everything takes.
pub trait Profiler: Debug + Send {
    /// Training begins.
    ///
    /// # Errors
    /// When it cannot measure here.
    fn start(&mut self) -> Result<()>;

    /// Something begins that other actions are part of.
    fn enter(&mut self);

    /// The end of what [`Self::enter`] began last.
    fn leave(&mut self, action: Action<'_>, took: Duration);

    /// An action is done that no other was part of.
    fn record(&mut self, action: Action<'_>, took: Duration);

    /// A training batch is done.
    ///
    /// # Errors
    /// When what was measured cannot be written.
    fn step(&mut self) -> Result<()>;

    /// Training is over: files go to `folder`.
    ///
    /// # Errors
    /// When they cannot be written.
    fn finish(&mut self, folder: &Path) -> Result<Profile>;
}
