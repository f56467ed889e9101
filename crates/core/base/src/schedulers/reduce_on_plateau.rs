//! Down when a metric no longer gets better.

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::curve::epoch;
use crate::optimizer::ParamGroup;
use crate::scheduler::{Interval, Scheduler, SchedulerKind};
use crate::{Error, Result};

/// Multiplies the learning rate by `factor` when a metric has not become better for a while (torch's `ReduceLROnPlateau`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReduceOnPlateauConfig {
    /// The metric that is watched.
    #[serde(default = "default_monitor")]
    pub monitor: String,
    /// Whether smaller (`min`) or greater (`max`) is better.
    #[serde(default)]
    pub mode: Mode,
    /// Factor of each change.
    #[serde(default = "default_factor")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub factor: f64,
    /// Values in a row that may be no better; the next one changes the rate.
    #[serde(default = "default_patience")]
    pub patience: u64,
    /// By how much a value must be better to count.
    #[serde(default = "default_threshold")]
    #[schemars(range(min = 0.0))]
    pub threshold: f64,
    /// Whether `threshold` is a share of the best value (`rel`) or a difference to it (`abs`).
    #[serde(default)]
    pub threshold_mode: ThresholdMode,
    /// Values after a change that do not count.
    #[serde(default)]
    pub cooldown: u64,
    /// Floor of the learning rate.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub min_lr: f64,
    /// Changes of the rate that are smaller are not made.
    #[serde(default = "default_eps")]
    #[schemars(range(min = 0.0))]
    pub eps: f64,
}

/// Which values are better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Smaller ones.
    #[default]
    Min,
    /// Greater ones.
    Max,
}

/// What a threshold is measured in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdMode {
    /// A share of the best value.
    #[default]
    Rel,
    /// A difference to the best value.
    Abs,
}

fn default_monitor() -> String {
    "val/loss".to_owned()
}

const fn default_factor() -> f64 {
    0.1
}

const fn default_patience() -> u64 {
    10
}

const fn default_threshold() -> f64 {
    1e-4
}

const fn default_eps() -> f64 {
    1e-8
}

component! { SchedulerKind, "reduce_on_plateau", ReduceOnPlateauConfig => |config, _| {
    Ok(Box::new(ReduceOnPlateau { config: config.clone(), state: State::default() }))
} }

/// Watches a metric.
#[derive(Debug, Clone)]
struct ReduceOnPlateau {
    config: ReduceOnPlateauConfig,
    state: State,
}

/// What is saved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct State {
    /// None before the first value.
    best: Option<f64>,
    num_bad: u64,
    cooldown: u64,
    /// Changes that the groups have not seen yet.
    pending: u64,
    /// The rate of each group; empty before the first step.
    lrs: Vec<f64>,
}

impl ReduceOnPlateau {
    fn is_better(&self, value: f64) -> bool {
        let ReduceOnPlateauConfig { mode, threshold, threshold_mode, .. } = self.config;
        let Some(best) = self.state.best else {
            // As against torch's ±infinity: anything but the worst there is, and no NaN.
            return if mode == Mode::Min { value < f64::INFINITY } else { value > f64::NEG_INFINITY };
        };
        match (mode, threshold_mode) {
            (Mode::Min, ThresholdMode::Rel) => value < best * (1.0 - threshold),
            (Mode::Min, ThresholdMode::Abs) => value < best - threshold,
            (Mode::Max, ThresholdMode::Rel) => value > best * (1.0 + threshold),
            (Mode::Max, ThresholdMode::Abs) => value > best + threshold,
        }
    }
}

impl Scheduler for ReduceOnPlateau {
    fn interval(&self) -> Interval {
        epoch()
    }

    fn apply(&mut self, _done: u64, groups: &mut [ParamGroup]) {
        let State { lrs, pending, .. } = &mut self.state;
        let known = lrs.len();
        lrs.extend(groups.iter().skip(known).map(|group| group.initial_lr));
        for (lr, group) in lrs.iter_mut().zip(groups) {
            for _ in 0..*pending {
                let lower = (*lr * self.config.factor).max(self.config.min_lr);
                if *lr - lower > self.config.eps {
                    *lr = lower;
                }
            }
            group.lr = *lr;
        }
        *pending = 0;
    }

    fn monitor(&self) -> Option<&str> {
        Some(&self.config.monitor)
    }

    fn observe(&mut self, value: f64) {
        let better = self.is_better(value);
        let state = &mut self.state;
        if better {
            state.best = Some(value);
            state.num_bad = 0;
        } else {
            state.num_bad += 1;
        }
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.num_bad = 0;
        }
        if state.num_bad > self.config.patience {
            state.pending += 1;
            state.cooldown = self.config.cooldown;
            state.num_bad = 0;
        }
    }

    fn state_dict(&self) -> Value {
        json!(self.state)
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.state = serde_json::from_value(state.clone()).map_err(|error| {
            Error::config("scheduler", format!("the saved schedule is no reduce_on_plateau: {error}"))
        })?;
        Ok(())
    }
}
