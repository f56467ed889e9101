//! A cosine that starts again and again.

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use super::cosine::half_cosine;
use super::curve::{Curve, Scaled};
use crate::scheduler::{Interval, SchedulerKind};

/// Half a cosine down, again and again (SGDR, Loshchilov and Hutter 2016, arXiv:1608.03983; torch's
/// `CosineAnnealingWarmRestarts`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineWarmRestartsConfig {
    /// Length of the first cycle.
    #[schemars(range(min = 1))]
    pub t_0: u64,
    /// Length of each further cycle over that of the one before.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub t_mult: u64,
    /// Learning rate at the end of a cycle, as a share of the optimizer's.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_factor: f64,
    /// What is counted.
    #[serde(default)]
    pub interval: Interval,
}

const fn one() -> u64 {
    1
}

component! { SchedulerKind, "cosine_warm_restarts", CosineWarmRestartsConfig => |config, _| {
    Ok(Scaled::boxed(config.clone(), config.interval))
} }

impl Curve for CosineWarmRestartsConfig {
    fn factor(&self, done: u64) -> f64 {
        let (mut into, mut cycle) = (done, self.t_0.max(1));
        if self.t_mult <= 1 {
            into %= cycle;
        }
        while into >= cycle {
            into -= cycle;
            cycle = cycle.saturating_mul(self.t_mult);
        }
        half_cosine(self.min_factor, into as f64 / cycle as f64)
    }
}
