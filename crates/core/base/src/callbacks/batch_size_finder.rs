//! Finds the greatest batch that the memory holds.

use std::num::NonZeroUsize;

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Result;
use crate::callback::{Callback, CallbackKind, HookContext};
use crate::trainer::{BatchSizeSearch, SizeSearchMode, Tuning};

/// Finds the greatest batch that the memory holds, before training begins, and uses it; under Lightning's names and with its
/// defaults. What it tries is undone.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchSizeFinderConfig {
    /// `power` doubles until a batch does not fit, `binsearch` then halves the difference.
    #[serde(default)]
    pub mode: SizeSearchMode,
    /// Optimizer steps of each size.
    #[serde(default = "default_steps_per_trial")]
    #[schemars(range(min = 1))]
    pub steps_per_trial: u64,
    /// The first size.
    #[serde(default = "default_init_val")]
    #[schemars(extend("minimum" = 1))]
    pub init_val: NonZeroUsize,
    /// Most sizes that are tried.
    #[serde(default = "default_max_trials")]
    #[schemars(range(min = 1))]
    pub max_trials: u64,
    /// The share by which what `binsearch` found is made smaller, to be safe.
    #[serde(default = "default_margin")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub margin: f64,
    /// The greatest size.
    #[serde(default = "default_max_val")]
    #[schemars(extend("minimum" = 1))]
    pub max_val: NonZeroUsize,
    /// Bytes that the process may take on a CPU. Left null: what machine and container have left, less a tenth.
    #[serde(default)]
    pub memory_limit: Option<u64>,
}

const fn default_steps_per_trial() -> u64 {
    3
}

const fn default_init_val() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(1)
}

const fn default_max_trials() -> u64 {
    25
}

const fn default_margin() -> f64 {
    0.05
}

const fn default_max_val() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(8191)
}

component! { CallbackKind, "batch_size_finder", BatchSizeFinderConfig => |config, ()| {
    Ok(Box::new(BatchSizeFinder(config.clone())))
} }

/// Finds the greatest batch that the memory holds.
#[derive(Debug)]
pub struct BatchSizeFinder(BatchSizeFinderConfig);

impl Callback for BatchSizeFinder {
    fn on_fit_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let BatchSizeFinderConfig {
            mode,
            steps_per_trial,
            init_val,
            max_trials,
            margin,
            max_val,
            memory_limit,
        } = self.0;
        context.request_tuning(Tuning::BatchSize(BatchSizeSearch {
            mode,
            steps_per_trial,
            init_val,
            max_trials,
            margin,
            max_val,
            memory_limit,
        }));
        Ok(())
    }
}
