//! The kind `scheduler`: how the learning rate changes.

use std::fmt::Debug;

use fulmen_registry::{BuildError, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::optimizer::ParamGroup;

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

/// Sets the learning rates of parameter groups, and where it says so their momentum.
pub trait Scheduler: Debug + Send {
    /// What `done` of [`Self::apply`] counts.
    fn interval(&self) -> Interval;

    /// Sets the rates for the step after `done` steps or epochs of the run, from each group's `initial_lr`, so that groups
    /// keep their proportions. A function of `done` alone but for schedules with a [`Self::monitor`]: nothing is kept, so nothing
    /// can be lost on resume.
    fn apply(&mut self, done: u64, groups: &mut [ParamGroup]);

    /// The metric that it watches, if any.
    fn monitor(&self) -> Option<&str> {
        None
    }

    /// Takes note of a new value of the metric that it watches.
    fn observe(&mut self, _value: f64) {}

    /// What it keeps between steps, for a checkpoint; null for nothing.
    fn state_dict(&self) -> Value {
        Value::Null
    }

    /// Goes on from what [`Self::state_dict`] gave.
    ///
    /// # Errors
    /// When it was saved by another schedule.
    fn load_state_dict(&mut self, _state: &Value) -> Result<()> {
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
    /// What a schedule over the whole run spans: what its setting `key` says, else the run.
    ///
    /// # Errors
    /// When neither has an end.
    pub(crate) fn length(self, key: &str, set: Option<u64>, interval: Interval) -> Result<u64, BuildError> {
        set.or_else(|| self.total(interval)).ok_or_else(|| {
            let message = match interval {
                Interval::Step => format!(
                    "the run has no number of steps: set {key}, trainer.max_steps or trainer.max_epochs"
                ),
                Interval::Epoch => {
                    format!("the run has no number of epochs: set {key} or trainer.max_epochs")
                }
            };
            BuildError::setting(key, message)
        })
    }

    /// The run without its first `count` intervals: what is left for a schedule behind a warm-up.
    pub const fn after(self, count: u64, interval: Interval) -> Self {
        const fn less(total: Option<u64>, count: u64) -> Option<u64> {
            match total {
                Some(total) => Some(total.saturating_sub(count)),
                None => None,
            }
        }
        match interval {
            Interval::Step => Self { total_steps: less(self.total_steps, count), ..self },
            Interval::Epoch => Self { total_epochs: less(self.total_epochs, count), ..self },
        }
    }

    /// The length of the run in `interval`s.
    pub const fn total(self, interval: Interval) -> Option<u64> {
        match interval {
            Interval::Step => self.total_steps,
            Interval::Epoch => self.total_epochs,
        }
    }
}
