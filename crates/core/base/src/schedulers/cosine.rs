//! Half a cosine.

use std::f64::consts::PI;

use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::Deserialize;

use super::curve::{Curve, Scaled};
use crate::scheduler::{Interval, SchedulerContext, SchedulerKind};

/// Half a cosine from the optimizer's learning rate down to a share of it (Loshchilov and Hutter 2016,
/// arXiv:1608.03983, without restarts), after an optional linear warm-up. It stays at its end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineConfig {
    /// Steps (or epochs) of linear warm-up from 0.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Steps (or epochs) in all, warm-up included. Left out: those of the run.
    #[serde(default)]
    pub total_steps: Option<u64>,
    /// Learning rate at the end, as a share of the optimizer's.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_factor: f64,
    /// What is counted.
    #[serde(default)]
    pub interval: Interval,
}

component! { SchedulerKind, "cosine", CosineConfig => |config, context| {
    Ok(Scaled::boxed(Cosine::build(config, context)?, config.interval))
} }

/// Half a cosine after a linear warm-up.
#[derive(Debug, Clone, Copy)]
struct Cosine {
    warmup: u64,
    total: u64,
    min_factor: f64,
}

impl Cosine {
    fn build(config: &CosineConfig, context: SchedulerContext) -> Result<Self, BuildError> {
        let total = context.length("total_steps", config.total_steps, config.interval)?;
        if config.warmup_steps >= total.max(1) {
            let message = format!("{} steps of warm-up leave nothing of {total} steps", config.warmup_steps);
            return Err(BuildError::setting("warmup_steps", message));
        }
        Ok(Self { warmup: config.warmup_steps, total, min_factor: config.min_factor })
    }
}

impl Curve for Cosine {
    fn factor(&self, done: u64) -> f64 {
        if done < self.warmup {
            return (done + 1) as f64 / self.warmup as f64;
        }
        let progress = ((done - self.warmup) as f64 / (self.total - self.warmup).max(1) as f64).min(1.0);
        half_cosine(self.min_factor, progress)
    }
}

/// From 1 at 0 down to `floor` at 1.
pub(super) fn half_cosine(floor: f64, progress: f64) -> f64 {
    floor + (1.0 - floor) * 0.5 * (1.0 + (PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: SchedulerContext = SchedulerContext { total_steps: Some(100), total_epochs: Some(4) };

    fn config(warmup_steps: u64, interval: Interval) -> CosineConfig {
        CosineConfig { warmup_steps, total_steps: None, min_factor: 0.1, interval }
    }

    #[test]
    fn cosine_warms_up_then_falls_to_its_floor_and_stays() {
        let cosine = Cosine::build(&config(10, Interval::Step), CONTEXT).unwrap();
        assert!((cosine.factor(0) - 0.1).abs() < 1e-12 && (cosine.factor(9) - 1.0).abs() < 1e-12);
        assert!((cosine.factor(55) - 0.55).abs() < 1e-12);
        assert!((cosine.factor(100) - 0.1).abs() < 1e-12 && (cosine.factor(1000) - 0.1).abs() < 1e-12);
        let by_epoch = Cosine::build(&config(0, Interval::Epoch), CONTEXT).unwrap();
        assert!((by_epoch.factor(2) - 0.55).abs() < 1e-12);
    }

    #[test]
    fn cosine_without_an_end_says_what_to_set() {
        let endless = SchedulerContext { total_steps: None, total_epochs: None };
        let refusal = |interval| Cosine::build(&config(0, interval), endless).unwrap_err().to_string();
        assert!(refusal(Interval::Step).contains("trainer.max_steps"));
        assert!(refusal(Interval::Epoch).contains("set total_steps or trainer.max_epochs"));
        assert!(Cosine::build(&config(100, Interval::Step), CONTEXT).is_err());
    }
}
