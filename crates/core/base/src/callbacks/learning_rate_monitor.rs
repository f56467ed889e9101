//! Records the learning rate.

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::callback::{Callback, CallbackKind, HookContext};
use crate::{Result, scheduler::Interval};

/// Records the learning rate as `lr`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearningRateMonitorConfig {
    /// How often: with the step's other metrics, or once an epoch.
    #[serde(default)]
    pub logging_interval: Interval,
}

component! { CallbackKind, "learning_rate_monitor", LearningRateMonitorConfig => |config, ()| {
    Ok(Box::new(LearningRateMonitor(config.logging_interval)))
} }

/// Records the learning rate.
#[derive(Debug)]
pub struct LearningRateMonitor(Interval);

impl LearningRateMonitor {
    fn log(context: &mut HookContext<'_>) {
        let learning_rate = context.learning_rate;
        context.log([("lr".to_owned(), learning_rate)].into());
    }
}

impl Callback for LearningRateMonitor {
    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.0 == Interval::Step && context.state.logs_this_step {
            Self::log(context);
        }
        Ok(())
    }

    fn on_train_epoch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.0 == Interval::Epoch {
            Self::log(context);
        }
        Ok(())
    }
}
