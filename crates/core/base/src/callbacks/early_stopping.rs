//! Ends training when a metric no longer improves.

use fulmen_contracts::Stage;
use fulmen_registry::component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::monitor::{MonitorMode, watched};
use crate::callback::{Callback, CallbackKind, HookContext};
use crate::{Error, Result};

/// Ends training when a metric no longer improves, under Lightning's names.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStoppingConfig {
    /// The metric to watch: `val/loss`.
    #[serde(default = "default_monitor")]
    pub monitor: String,
    /// Which way is better.
    #[serde(default)]
    pub mode: MonitorMode,
    /// Validations without improvement that are borne.
    #[serde(default = "default_patience")]
    pub patience: u64,
    /// What counts as improvement.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub min_delta: f64,
    /// Whether a value that is not finite ends training at once.
    #[serde(default = "yes")]
    pub check_finite: bool,
}

fn default_monitor() -> String {
    "val/loss".to_owned()
}

const fn default_patience() -> u64 {
    3
}

const fn yes() -> bool {
    true
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

impl Callback for EarlyStopping {
    fn on_validation_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if context.stage == Stage::SanityCheck {
            return Ok(());
        }
        let EarlyStoppingConfig { monitor, mode, patience, min_delta, check_finite } = &self.config;
        let value = watched(monitor, context.metrics, "early_stopping")?;
        if *check_finite && !value.is_finite() {
            context.request_stop(format!("{monitor} is {value}"));
        } else if self.kept.best.is_none_or(|best| mode.is_better(value, best, *min_delta)) {
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

    fn state_dict(&self) -> Value {
        json!(self.kept)
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.kept = serde_json::from_value(state.clone()).map_err(|error| {
            Error::config("callbacks.early_stopping", format!("its saved state cannot be read: {error}"))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::tests::CallbackHook;

    fn stopping(patience: u64) -> EarlyStopping {
        let config = EarlyStoppingConfig {
            monitor: "val/loss".into(),
            mode: MonitorMode::Min,
            patience,
            min_delta: 0.0,
            check_finite: true,
        };
        EarlyStopping { config, kept: Kept::default() }
    }

    fn stopped(callback: &mut EarlyStopping, loss: f64) -> bool {
        let mut hook = CallbackHook::new([("val/loss", loss)]);
        callback.on_validation_end(&mut hook.context()).unwrap();
        hook.requests.stop.is_some()
    }

    #[test]
    fn patience_is_counted_from_the_last_improvement_and_survives_a_checkpoint() {
        let mut callback = stopping(2);
        assert!(!stopped(&mut callback, 1.0) && !stopped(&mut callback, 1.5) && !stopped(&mut callback, 0.9));
        assert!(!stopped(&mut callback, 0.95));
        let mut resumed = stopping(2);
        resumed.load_state_dict(&callback.state_dict()).unwrap();
        assert!(stopped(&mut resumed, 0.95));
    }

    #[test]
    fn a_loss_that_is_not_a_number_stops_at_once() {
        assert!(stopped(&mut stopping(9), f64::NAN));
    }

    #[test]
    fn a_metric_that_is_not_there_is_named_with_the_near_one() {
        let mut callback = stopping(1);
        callback.config.monitor = "val/los".into();
        let error =
            callback.on_validation_end(&mut CallbackHook::new([("val/loss", 1.0)]).context()).unwrap_err();
        assert!(error.to_string().contains("did you mean 'val/loss'"), "{error}");
    }
}
