//! Ends training when a metric no longer improves, is good enough, or is beyond hope.

use fulmen_contracts::Stage;
use fulmen_contracts::event::Level;
use fulmen_registry::component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::monitor::{MonitorMode, watched};
use super::{load_kept, validates_once_an_epoch, yes};
use crate::Result;
use crate::callback::{Callback, CallbackKind, HookContext};

/// Ends training when a metric no longer improves, under Lightning's names and with its defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStoppingConfig {
    /// The metric to watch: `val/loss`.
    #[serde(default = "default_monitor")]
    pub monitor: String,
    /// Which way is better.
    #[serde(default)]
    pub mode: MonitorMode,
    /// Looks without improvement that are borne.
    #[serde(default = "default_patience")]
    pub patience: u64,
    /// What counts as improvement.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub min_delta: f64,
    /// Whether a metric that is not there fails the run; else it is waited for.
    #[serde(default = "yes")]
    pub strict: bool,
    /// Whether a value that is not finite ends training at once.
    #[serde(default = "yes")]
    pub check_finite: bool,
    /// A value better than this is good enough: training ends.
    #[serde(default)]
    pub stopping_threshold: Option<f64>,
    /// A value worse than this is beyond hope: training ends.
    #[serde(default)]
    pub divergence_threshold: Option<f64>,
    /// Whether to look at the end of a training epoch (true) or of a validation (false). Left null: of the epoch where there is one
    /// validation an epoch, else of the validation.
    #[serde(default)]
    pub check_on_train_epoch_end: Option<bool>,
    /// Whether each improvement is told.
    #[serde(default)]
    pub verbose: bool,
}

fn default_monitor() -> String {
    "val/loss".to_owned()
}

const fn default_patience() -> u64 {
    3
}

component! { CallbackKind, "early_stopping", EarlyStoppingConfig => |config, ()| {
    Ok(Box::new(EarlyStopping { config: config.clone(), kept: Kept::default() }))
} }

/// Ends training when a metric no longer improves.
#[derive(Debug)]
pub struct EarlyStopping {
    config: EarlyStoppingConfig,
    kept: Kept,
}

/// What a checkpoint keeps of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    best: Option<f64>,
    waited: u64,
}

impl EarlyStopping {
    fn looks_at_epoch_end(&self, context: &HookContext<'_>) -> bool {
        self.config.check_on_train_epoch_end.unwrap_or_else(|| validates_once_an_epoch(context.config))
    }

    fn look(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let EarlyStoppingConfig { monitor, mode, patience, min_delta, .. } = &self.config;
        if context.config.fast_dev_run.batches().is_some()
            || (!self.config.strict && !context.metrics.contains_key(monitor))
        {
            return Ok(());
        }
        let value = watched(monitor, context.metrics, "early_stopping")?;
        let beyond = |threshold: Option<f64>, mode: MonitorMode| {
            threshold.filter(|&threshold| mode.is_better(value, threshold, 0.0))
        };
        if self.config.check_finite && !value.is_finite() {
            context.request_stop(format!("{monitor} is {value}"));
        } else if let Some(threshold) = beyond(self.config.stopping_threshold, *mode) {
            context.request_stop(format!("{monitor} {value:.4} reached stopping_threshold={threshold}"));
        } else if let Some(threshold) = beyond(self.config.divergence_threshold, mode.opposite()) {
            context.request_stop(format!("{monitor} {value:.4} is beyond divergence_threshold={threshold}"));
        } else if self.kept.best.is_none_or(|best| mode.is_better(value, best, *min_delta)) {
            if self.config.verbose {
                context.events.log(Level::Info, format!("{monitor} improved to {value:.4}"));
            }
            self.kept = Kept { best: Some(value), waited: 0 };
        } else {
            self.kept.waited += 1;
            if self.kept.waited >= *patience {
                let best = self.kept.best.unwrap_or(value);
                context.request_stop(format!(
                    "{monitor} did not improve on {best:.4} in {patience} validations"
                ));
            }
        }
        Ok(())
    }
}

impl Callback for EarlyStopping {
    fn on_validation_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        // Neither in the sanity check nor in a validation that stands alone.
        if context.stage != Stage::Validate
            || context.state.total_batches == 0
            || self.looks_at_epoch_end(context)
        {
            return Ok(());
        }
        self.look(context)
    }

    fn on_train_epoch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.looks_at_epoch_end(context) { self.look(context) } else { Ok(()) }
    }

    fn state_dict(&self) -> Value {
        json!(self.kept)
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.kept = load_kept("early_stopping", state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::tests::CallbackHook;

    fn stopping(settings: Value) -> EarlyStopping {
        EarlyStopping { config: serde_json::from_value(settings).unwrap(), kept: Kept::default() }
    }

    fn stopped(callback: &mut EarlyStopping, loss: f64) -> Option<String> {
        let mut hook = CallbackHook::new([("val/loss", loss)]);
        callback.on_train_epoch_end(&mut hook.context()).unwrap();
        hook.requests.stop
    }

    #[test]
    fn patience_is_counted_from_the_last_improvement_and_survives_a_checkpoint() {
        let mut callback = stopping(json!({"patience": 2}));
        for loss in [1.0, 1.5, 0.9, 0.95] {
            assert_eq!(stopped(&mut callback, loss), None);
        }
        let mut resumed = stopping(json!({"patience": 2}));
        resumed.load_state_dict(&callback.state_dict()).unwrap();
        assert!(stopped(&mut resumed, 0.95).unwrap().contains("did not improve on 0.9000"));
    }

    #[test]
    fn a_loss_that_is_not_a_number_stops_at_once() {
        assert!(stopped(&mut stopping(json!({"patience": 9})), f64::NAN).is_some());
        assert!(stopped(&mut stopping(json!({"patience": 9, "check_finite": false})), f64::NAN).is_none());
    }

    #[test]
    fn thresholds_stop_on_either_side() {
        let settings = json!({"stopping_threshold": 0.1, "divergence_threshold": 5.0});
        assert_eq!(stopped(&mut stopping(settings.clone()), 1.0), None);
        assert!(stopped(&mut stopping(settings.clone()), 0.05).unwrap().contains("stopping_threshold"));
        assert!(stopped(&mut stopping(settings), 6.0).unwrap().contains("divergence_threshold"));
    }

    #[test]
    fn it_looks_after_each_validation_where_there_are_several_an_epoch() {
        let mut callback = stopping(json!({"patience": 0, "monitor": "val/loss"}));
        let mut hook = CallbackHook::new([("val/loss", 1.0)]);
        hook.config.check_val_every_n_epoch = Some(2);
        hook.stage = Stage::Validate;
        hook.state.total_batches = 4;
        callback.on_train_epoch_end(&mut hook.context()).unwrap();
        assert_eq!(callback.kept.best, None);
        callback.on_validation_end(&mut hook.context()).unwrap();
        assert_eq!(callback.kept.best, Some(1.0));
    }

    #[test]
    fn a_metric_that_is_not_there_is_named_with_the_near_one() {
        let mut callback = stopping(json!({"monitor": "val/los"}));
        let error =
            callback.on_train_epoch_end(&mut CallbackHook::new([("val/loss", 1.0)]).context()).unwrap_err();
        assert!(error.to_string().contains("did you mean 'val/loss'"), "{error}");
        callback.config.strict = false;
        callback.on_train_epoch_end(&mut CallbackHook::new([("val/loss", 1.0)]).context()).unwrap();
    }
}
