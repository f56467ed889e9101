//! Schedules between two levels: linear, polynomial, constant.

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use super::curve::{Curve, Scaled};
use crate::scheduler::{Interval, SchedulerKind};

/// In a straight line from one share of the learning rate to another (torch's `LinearLR`, with an end at 0 rather than a
/// start at a third).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearConfig {
    /// Learning rate at the start, as a share of the optimizer's.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0))]
    pub start_factor: f64,
    /// Learning rate at the end and from there on, as a share of the optimizer's.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub end_factor: f64,
    /// Steps (or epochs) from start to end. Left out: those of the run.
    #[serde(default)]
    pub total_iters: Option<u64>,
    /// What is counted.
    #[serde(default)]
    pub interval: Interval,
}

const fn one() -> f64 {
    1.0
}

component! { SchedulerKind, "linear", LinearConfig => |config, context| {
    let total = context.length("total_iters", config.total_iters, config.interval)?;
    let line = Line { from: config.start_factor, to: config.end_factor, total };
    Ok(Scaled::boxed(line, config.interval))
} }

/// A straight line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) total: u64,
}

impl Curve for Line {
    fn factor(&self, done: u64) -> f64 {
        if done >= self.total {
            return self.to;
        }
        self.from + (self.to - self.from) * done as f64 / self.total as f64
    }
}

/// A power of what is left of the run, down to 0 (torch's `PolynomialLR`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolynomialConfig {
    /// The power; 1 is a straight line.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub power: f64,
    /// Steps (or epochs) until 0. Left out: those of the run.
    #[serde(default)]
    pub total_iters: Option<u64>,
    /// What is counted.
    #[serde(default)]
    pub interval: Interval,
}

component! { SchedulerKind, "polynomial", PolynomialConfig => |config, context| {
    let total = context.length("total_iters", config.total_iters, config.interval)?;
    Ok(Scaled::boxed(Polynomial { power: config.power, total }, config.interval))
} }

#[derive(Debug, Clone, Copy)]
struct Polynomial {
    power: f64,
    total: u64,
}

impl Curve for Polynomial {
    fn factor(&self, done: u64) -> f64 {
        let left = self.total.saturating_sub(done) as f64 / self.total.max(1) as f64;
        left.powf(self.power)
    }
}

/// A share of the learning rate for some time, then all of it (torch's `ConstantLR`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConstantConfig {
    /// The share.
    #[serde(default = "third")]
    #[schemars(range(min = 0.0))]
    pub factor: f64,
    /// For how many steps (or epochs).
    #[serde(default = "five")]
    pub total_iters: u64,
    /// What is counted.
    #[serde(default)]
    pub interval: Interval,
}

const fn third() -> f64 {
    1.0 / 3.0
}

const fn five() -> u64 {
    5
}

component! { SchedulerKind, "constant", ConstantConfig => |config, _| {
    Ok(Scaled::boxed(config.clone(), config.interval))
} }

impl Curve for ConstantConfig {
    fn factor(&self, done: u64) -> f64 {
        if done < self.total_iters { self.factor } else { 1.0 }
    }
}
