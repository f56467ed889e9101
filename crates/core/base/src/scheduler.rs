//! The kind `scheduler`: how the learning rate changes.

use std::fmt::Debug;

use fulmen_registry::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a schedule moves on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// After each optimizer step.
    #[default]
    Step,
    /// After each epoch.
    Epoch,
}

/// The learning rate as a function of how far training has come: nothing is kept, so nothing can be lost on resume.
pub trait Scheduler: Debug + Send {
    /// What [`Self::factor`] counts.
    fn interval(&self) -> Interval;

    /// By what the optimizer's own learning rate is multiplied after `done` steps or epochs.
    fn factor(&self, done: u64) -> f64;
}

/// The kind `scheduler`.
#[derive(Debug)]
pub struct SchedulerKind;

impl Kind for SchedulerKind {
    const NAME: &'static str = "scheduler";
    type Product = Box<dyn Scheduler>;
    type Context<'context> = SchedulerContext;
}

/// What a schedule is built with beyond its settings.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerContext {
    /// Optimizer steps of the whole run; none where only time or a callback ends it.
    pub total_steps: Option<u64>,
    /// Epochs of the whole run.
    pub total_epochs: Option<u64>,
}

impl SchedulerContext {
    /// The length of the run in `interval`s.
    pub const fn total(self, interval: Interval) -> Option<u64> {
        match interval {
            Interval::Step => self.total_steps,
            Interval::Epoch => self.total_epochs,
        }
    }
}
