//! Where a step's time goes: what a profiler is told.

use std::fmt::Debug;
use std::time::Instant;

use crate::Hook;

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

/// Told how long everything takes.
pub trait Profiler: Debug + Send {
    /// `action` began and ended.
    fn record(&mut self, action: Action<'_>, began: Instant, ended: Instant);
}
