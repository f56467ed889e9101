//! The schedules that come with Fulmen.

use std::f64::consts::PI;

use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::scheduler::{Interval, Scheduler, SchedulerContext, SchedulerKind};

/// Half a cosine from the optimizer's learning rate down to a share of it (Loshchilov and Hutter 2016,
/// arXiv:1608.03983, without restarts), after an optional linear warm-up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineConfig {
    /// Steps of linear warm-up from 0.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Steps in all, warm-up included. Left out: those of the run.
    #[serde(default)]
    pub total_steps: Option<u64>,
    /// Learning rate at the end, as a share of the optimizer's.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_factor: f64,
}

component! { SchedulerKind, "cosine", CosineConfig => |config, context| Ok(Box::new(Cosine::build(config, context)?)) }

/// Half a cosine after a linear warm-up.
#[derive(Debug, Clone, Copy)]
pub struct Cosine {
    warmup: u64,
    total: u64,
    min_factor: f64,
}

impl Cosine {
    fn build(config: &CosineConfig, context: SchedulerContext) -> Result<Self, BuildError> {
        let total = config.total_steps.or(context.total(Interval::Step)).ok_or_else(|| {
            BuildError::setting(
                "total_steps",
                "the run has no number of steps: set total_steps, trainer.max_steps or trainer.max_epochs",
            )
        })?;
        if config.warmup_steps >= total.max(1) {
            let message = format!("{} steps of warm-up leave nothing of {total} steps", config.warmup_steps);
            return Err(BuildError::setting("warmup_steps", message));
        }
        Ok(Self { warmup: config.warmup_steps, total, min_factor: config.min_factor })
    }
}

impl Scheduler for Cosine {
    fn interval(&self) -> Interval {
        Interval::Step
    }

    fn factor(&self, done: u64) -> f64 {
        if done < self.warmup {
            return (done + 1) as f64 / self.warmup as f64;
        }
        let progress = ((done - self.warmup) as f64 / (self.total - self.warmup).max(1) as f64).min(1.0);
        self.min_factor + (1.0 - self.min_factor) * 0.5 * (1.0 + (PI * progress).cos())
    }
}

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

const fn epoch() -> Interval {
    Interval::Epoch
}

component! { SchedulerKind, "step", StepConfig => |config, _| Ok(Box::new(config.clone())) }

impl Scheduler for StepConfig {
    fn interval(&self) -> Interval {
        self.interval
    }

    fn factor(&self, done: u64) -> f64 {
        let changes = done / self.step_size.max(1);
        self.gamma.powi(i32::try_from(changes).unwrap_or(i32::MAX))
    }
}

/// Up from a share of the peak and down to next to nothing (Smith and Topin 2017, arXiv:1708.07120; torch's `OneCycleLR`
/// with cosine annealing). The optimizer's learning rate is the peak.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneCycleConfig {
    /// Share of the run that goes up.
    #[serde(default = "third")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub pct_start: f64,
    /// Peak over start.
    #[serde(default = "twenty_five")]
    #[schemars(range(min = 1.0))]
    pub div_factor: f64,
    /// Start over end.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 1.0))]
    pub final_div_factor: f64,
}

const fn third() -> f64 {
    0.3
}

const fn twenty_five() -> f64 {
    25.0
}

const fn ten_thousand() -> f64 {
    1e4
}

component! { SchedulerKind, "one_cycle", OneCycleConfig => |config, context| {
    let total = context.total_steps.ok_or_else(|| {
        BuildError::setting("", "the run has no number of steps: set trainer.max_steps or trainer.max_epochs")
    })?;
    Ok(Box::new(OneCycle { config: config.clone(), total }))
} }

/// Up, then down.
#[derive(Debug, Clone)]
pub struct OneCycle {
    config: OneCycleConfig,
    total: u64,
}

impl Scheduler for OneCycle {
    fn interval(&self) -> Interval {
        Interval::Step
    }

    fn factor(&self, done: u64) -> f64 {
        let OneCycleConfig { pct_start, div_factor, final_div_factor } = self.config;
        let (start, end) = (1.0 / div_factor, 1.0 / (div_factor * final_div_factor));
        // torch's own bounds of the two phases, in steps.
        let top = pct_start * self.total as f64 - 1.0;
        let last = self.total as f64 - 1.0;
        let anneal = |from: f64, to: f64, share: f64| {
            to + (from - to) / 2.0 * (1.0 + (PI * share.clamp(0.0, 1.0)).cos())
        };
        let done = done as f64;
        if done <= top {
            anneal(start, 1.0, done / top.max(1.0))
        } else {
            anneal(1.0, end, (done - top) / (last - top).max(1.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: SchedulerContext = SchedulerContext { total_steps: Some(100), total_epochs: Some(4) };

    #[test]
    fn cosine_warms_up_then_falls_to_its_floor() {
        let cosine =
            Cosine::build(&CosineConfig { warmup_steps: 10, total_steps: None, min_factor: 0.1 }, CONTEXT)
                .unwrap();
        assert!((cosine.factor(0) - 0.1).abs() < 1e-12 && (cosine.factor(9) - 1.0).abs() < 1e-12);
        assert!((cosine.factor(55) - 0.55).abs() < 1e-12);
        assert!((cosine.factor(100) - 0.1).abs() < 1e-12 && (cosine.factor(1000) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn cosine_without_an_end_says_what_to_set() {
        let endless = SchedulerContext { total_steps: None, total_epochs: None };
        let config = CosineConfig { warmup_steps: 0, total_steps: None, min_factor: 0.0 };
        assert!(Cosine::build(&config, endless).unwrap_err().to_string().contains("trainer.max_steps"));
        let config = CosineConfig { warmup_steps: 100, total_steps: None, min_factor: 0.0 };
        assert!(Cosine::build(&config, CONTEXT).is_err());
    }

    #[test]
    fn one_cycle_has_the_values_of_torch() {
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=100), after 0, 10, 29, 60 and 99 steps.
        let cycle = OneCycle {
            config: OneCycleConfig { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 },
            total: 100,
        };
        let torch = [(0, 0.04), (10, 0.295_163_948), (29, 1.0), (60, 0.589_280_090), (99, 4e-6)];
        for (done, expected) in torch {
            assert!(
                (cycle.factor(done) - expected).abs() < 1e-6,
                "{done}: {} is not {expected}",
                cycle.factor(done)
            );
        }
    }

    #[test]
    fn step_multiplies_by_gamma() {
        let step = StepConfig { step_size: 2, gamma: 0.5, interval: Interval::Epoch };
        assert_eq!((step.factor(1), step.factor(2), step.factor(5)), (1.0, 0.5, 0.25));
    }
}
