//! Finds a learning rate.

mod plot;

use fulmen_registry::{BuildError, component};
use fulmen_utils::atomic;
use schemars::JsonSchema;
use serde::Deserialize;

use super::yes;
use crate::Result;
use crate::callback::{Callback, CallbackKind, HookContext};
use crate::trainer::{LearningRateCurve, LearningRateSearch, Spacing, Tuning};

/// Finds a learning rate before training begins (Smith 2017, arXiv:1506.01186), under Lightning's names and with its defaults:
/// rates grow step by step, and the one where the loss falls most steeply is suggested. What it tries is undone; the curve is
/// written to `learning_rate_finder.csv` and `.svg` among the run's artifacts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearningRateFinderConfig {
    /// The first rate.
    #[serde(default = "default_min_lr")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub min_lr: f64,
    /// The last rate.
    #[serde(default = "default_max_lr")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub max_lr: f64,
    /// How many rates, one an optimizer step.
    #[serde(default = "default_num_training_steps")]
    #[schemars(range(min = 1))]
    pub num_training_steps: u64,
    /// How rates grow.
    #[serde(default)]
    pub mode: Spacing,
    /// The search ends where the smoothed loss is so many times the best; null goes on to the last rate.
    #[serde(default = "default_early_stop_threshold")]
    pub early_stop_threshold: Option<f64>,
    /// Whether training uses what is suggested.
    #[serde(default = "yes")]
    pub update_attr: bool,
}

const fn default_min_lr() -> f64 {
    1e-8
}

const fn default_max_lr() -> f64 {
    1.0
}

const fn default_num_training_steps() -> u64 {
    100
}

#[expect(clippy::unnecessary_wraps, reason = "the form that serde asks for")]
const fn default_early_stop_threshold() -> Option<f64> {
    Some(4.0)
}

component! { CallbackKind, "learning_rate_finder", LearningRateFinderConfig => |config, ()| {
    if config.max_lr <= config.min_lr {
        return Err(BuildError::setting("max_lr", format!("{} is not more than min_lr={}", config.max_lr, config.min_lr)));
    }
    Ok(Box::new(LearningRateFinder(config.clone())))
} }

/// Finds a learning rate.
#[derive(Debug)]
pub struct LearningRateFinder(LearningRateFinderConfig);

impl Callback for LearningRateFinder {
    fn on_fit_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let LearningRateFinderConfig {
            min_lr,
            max_lr,
            num_training_steps,
            mode,
            early_stop_threshold,
            update_attr,
        } = self.0;
        context.request_tuning(Tuning::LearningRate(LearningRateSearch {
            min_lr,
            max_lr,
            num_training_steps,
            mode,
            early_stop_threshold,
            update: update_attr,
        }));
        Ok(())
    }

    fn on_learning_rate_found(
        &mut self,
        curve: &LearningRateCurve,
        context: &mut HookContext<'_>,
    ) -> Result<()> {
        let rows: String =
            curve.lr.iter().zip(&curve.loss).map(|(lr, loss)| format!("{lr:e},{loss}\n")).collect();
        let write = |name: &str, text: String| {
            atomic::write(&context.folder.join(format!("learning_rate_finder.{name}")), text.as_bytes())
        };
        write("csv", format!("lr,loss\n{rows}"))?;
        write("svg", plot::svg(curve))?;
        if let Some(rate) = curve.suggested() {
            context.log([("learning_rate_finder/suggestion".to_owned(), rate)].into());
        }
        Ok(())
    }
}
