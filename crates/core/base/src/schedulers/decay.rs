//! Schedules that go down and have no end: in steps, exponentially, by the inverse square root.

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use super::curve::{Curve, Scaled, epoch, power};
use crate::scheduler::{Interval, SchedulerKind};

/// Multiplies the learning rate by `gamma` every `step_size` epochs or steps (torch's `StepLR`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepConfig {
    /// Epochs or steps between two changes.
    #[schemars(range(min = 1))]
    pub step_size: u64,
    /// Factor of each change.
    #[serde(default = "tenth")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub gamma: f64,
    /// What `step_size` counts.
    #[serde(default = "epoch")]
    pub interval: Interval,
}

const fn tenth() -> f64 {
    0.1
}

component! { SchedulerKind, "step", StepConfig => |config, _| Ok(Scaled::boxed(config.clone(), config.interval)) }

impl Curve for StepConfig {
    fn factor(&self, done: u64) -> f64 {
        power(self.gamma, done / self.step_size.max(1))
    }
}

/// Multiplies the learning rate by `gamma` at each milestone (torch's `MultiStepLR`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiStepConfig {
    /// Epochs or steps after which the rate changes.
    pub milestones: Vec<u64>,
    /// Factor of each change.
    #[serde(default = "tenth")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub gamma: f64,
    /// What milestones count.
    #[serde(default = "epoch")]
    pub interval: Interval,
}

component! { SchedulerKind, "multi_step", MultiStepConfig => |config, _| {
    Ok(Scaled::boxed(config.clone(), config.interval))
} }

impl Curve for MultiStepConfig {
    fn factor(&self, done: u64) -> f64 {
        let passed = self.milestones.iter().filter(|milestone| **milestone <= done).count();
        power(self.gamma, passed as u64)
    }
}

/// Multiplies the learning rate by `gamma` after every epoch or step (torch's `ExponentialLR`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExponentialConfig {
    /// Factor of each change.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub gamma: f64,
    /// What is counted.
    #[serde(default = "epoch")]
    pub interval: Interval,
}

component! { SchedulerKind, "exponential", ExponentialConfig => |config, _| {
    Ok(Scaled::boxed(config.clone(), config.interval))
} }

impl Curve for ExponentialConfig {
    fn factor(&self, done: u64) -> f64 {
        power(self.gamma, done)
    }
}

/// Falls with the inverse square root of the steps (Vaswani et al. 2017, arXiv:1706.03762): √(timescale / (timescale + done)).
/// The paper's schedule is `linear_warmup` before it, with `timescale` the steps of the warm-up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InverseSqrtConfig {
    /// Steps (or epochs) by which the rate has fallen to 1/√2.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 1))]
    pub timescale: u64,
    /// What is counted.
    #[serde(default)]
    pub interval: Interval,
}

const fn ten_thousand() -> u64 {
    10_000
}

component! { SchedulerKind, "inverse_sqrt", InverseSqrtConfig => |config, _| {
    Ok(Scaled::boxed(config.clone(), config.interval))
} }

impl Curve for InverseSqrtConfig {
    fn factor(&self, done: u64) -> f64 {
        let timescale = self.timescale.max(1) as f64;
        (timescale / (timescale + done as f64)).sqrt()
    }
}
