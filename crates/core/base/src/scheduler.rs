//! The kind `scheduler`: how the learning rate changes.

use std::fmt::Debug;

use fulmen_registry::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ParamGroup, Result};

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

/// The learning rate as a function of how far training has come.
pub trait Scheduler: Debug + Send {
    /// What `done` counts.
    fn interval(&self) -> Interval;

    /// By what each group's own learning rate is multiplied after `done` steps or epochs.
    fn factor(&self, done: u64) -> f64;

    /// Sets what each group has after `done` steps or epochs.
    fn apply(&mut self, done: u64, groups: &mut [ParamGroup]) {
        let factor = self.factor(done);
        for group in groups {
            group.lr = group.initial_lr * factor;
        }
    }

    /// The metric that it watches.
    fn monitor(&self) -> Option<&str> {
        None
    }

    /// Told each new value of that metric.
    fn observe(&mut self, value: f64) {
        let _ = value;
    }

    /// What a checkpoint keeps of it.
    fn state_dict(&self) -> Value {
        Value::Null
    }

    /// Goes on from what a checkpoint kept.
    ///
    /// # Errors
    /// When it was kept by another schedule.
    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        let _ = state;
        Ok(())
    }
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
