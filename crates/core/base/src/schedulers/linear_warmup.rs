//! A warm-up before any other schedule.

use fulmen_registry::{BuildError, Component, component, registry};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::curve::Curve;
use super::ramps::Line;
use crate::Result;
use crate::optimizer::ParamGroup;
use crate::scheduler::{Interval, Scheduler, SchedulerContext, SchedulerKind};

/// A linear warm-up, then any other schedule, which begins to count when the warm-up is over (torch's `SequentialLR` of
/// `LinearLR` and another).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearWarmupConfig {
    /// Steps (or epochs) of warm-up.
    pub warmup_steps: u64,
    /// Learning rate of the first step, as a share of the optimizer's.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub start_factor: f64,
    /// What comes after; null stays at the optimizer's rate. What it takes from the length of the run is then without the
    /// warm-up.
    #[serde(default)]
    pub then: Option<Component<SchedulerKind>>,
    /// What is counted; as in what comes after, unless that watches a metric.
    #[serde(default)]
    pub interval: Interval,
}

component! { SchedulerKind, "linear_warmup", LinearWarmupConfig => |config, context| {
    Ok(Box::new(LinearWarmup::build(config, context)?))
} }

/// A line, then another schedule.
#[derive(Debug)]
struct LinearWarmup {
    line: Line,
    then: Option<Box<dyn Scheduler>>,
    interval: Interval,
}

impl LinearWarmup {
    fn build(config: &LinearWarmupConfig, context: SchedulerContext) -> Result<Self, BuildError> {
        let (warmup, interval) = (config.warmup_steps, config.interval);
        if context.total(interval).is_some_and(|total| total > 0 && warmup >= total) {
            let total = context.total(interval).unwrap_or_default();
            let message = format!("{warmup} of warm-up leave nothing of a run of {total}");
            return Err(BuildError::setting("warmup_steps", message));
        }
        let below = |error: BuildError| BuildError::setting(error.key_below("then"), error.to_string());
        let then = match &config.then {
            Some(then) => {
                let registry = registry().map_err(BuildError::failed)?;
                Some(then.build(registry, context.after(warmup, interval)).map_err(below)?)
            }
            None => None,
        };
        if let Some(then) = then.as_ref().filter(|then| then.monitor().is_none())
            && then.interval() != interval
        {
            let message = "the warm-up and what comes after it count the same: set `interval` of both to step or to epoch";
            return Err(BuildError::setting("then.interval", message));
        }
        Ok(Self { line: Line { from: config.start_factor, to: 1.0, total: warmup }, then, interval })
    }
}

impl Scheduler for LinearWarmup {
    fn interval(&self) -> Interval {
        self.interval
    }

    fn apply(&mut self, done: u64, groups: &mut [ParamGroup]) {
        let warmup = self.line.total;
        if let Some(then) = self.then.as_mut().filter(|_| done >= warmup) {
            return then.apply(done - warmup, groups);
        }
        for group in groups {
            group.lr = group.initial_lr * self.line.factor(done);
        }
    }

    fn monitor(&self) -> Option<&str> {
        self.then.as_ref()?.monitor()
    }

    fn observe(&mut self, value: f64) {
        if let Some(then) = &mut self.then {
            then.observe(value);
        }
    }

    fn state_dict(&self) -> Value {
        self.then.as_ref().map_or(Value::Null, |then| then.state_dict())
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.then.as_mut().map_or(Ok(()), |then| then.load_state_dict(state))
    }
}
