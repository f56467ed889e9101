//! Records learning rates.

use fulmen_contracts::event::Values;
use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::callback::{Callback, CallbackKind, HookContext};
use crate::trainer::Optimizers;
use crate::{Result, scheduler::Interval};

/// Records the learning rate as `lr`, and as `lr-<optimizer>/<group>` where there are several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearningRateMonitorConfig {
    /// How often: with the step's other metrics, or once an epoch.
    #[serde(default)]
    pub logging_interval: Interval,
    /// Whether momentum, or the first of Adam's betas, is recorded too.
    #[serde(default)]
    pub log_momentum: bool,
    /// Whether weight decay is recorded too.
    #[serde(default)]
    pub log_weight_decay: bool,
}

component! { CallbackKind, "learning_rate_monitor", LearningRateMonitorConfig => |config, ()| {
    Ok(Box::new(LearningRateMonitor { config: config.clone(), used: Values::new() }))
} }

/// Records learning rates.
#[derive(Debug)]
pub struct LearningRateMonitor {
    config: LearningRateMonitorConfig,
    /// What the step at hand uses: schedules have moved on by its end.
    used: Values,
}

impl LearningRateMonitor {
    fn rates(&self, optimizers: &Optimizers) -> Values {
        let groups = optimizers.iter().flat_map(|slot| slot.optimizer.param_groups());
        let mut values = Values::new();
        for ((name, lr), group) in optimizers.learning_rates().zip(groups) {
            if let Some(momentum) = group.momentum.filter(|_| self.config.log_momentum) {
                values.insert(format!("{name}-momentum"), momentum);
            }
            if self.config.log_weight_decay {
                values.insert(format!("{name}-weight_decay"), group.weight_decay);
            }
            values.insert(name, lr);
        }
        values
    }
}

impl Callback for LearningRateMonitor {
    fn on_train_epoch_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        // An epoch that goes on has its record already.
        if self.config.logging_interval == Interval::Epoch && context.state.batch == 0 {
            context.log(self.rates(context.optimizers));
        }
        Ok(())
    }

    fn on_before_optimizer_step(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let every = context.config.log_every_n_steps;
        let due = every > 0 && (context.state.global_step + 1).is_multiple_of(every);
        if due && self.config.logging_interval == Interval::Step {
            self.used = self.rates(context.optimizers);
        }
        Ok(())
    }

    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if context.state.logs_this_step {
            context.log(std::mem::take(&mut self.used));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::tests::{CallbackHook, sgd};

    #[test]
    fn the_rate_of_the_step_is_recorded_and_not_that_of_the_next() {
        let config: LearningRateMonitorConfig =
            serde_json::from_value(serde_json::json!({"log_momentum": true, "log_weight_decay": true}))
                .unwrap();
        let mut callback = LearningRateMonitor { config, used: Values::new() };
        let mut hook = CallbackHook::new([]);
        hook.optimizers = sgd(0.1, 0.9);
        hook.config.log_every_n_steps = 1;
        callback.on_before_optimizer_step(&mut hook.context()).unwrap();
        hook.optimizers.iter_mut().for_each(|slot| slot.optimizer.param_groups_mut()[0].lr = 0.05);
        hook.state.logs_this_step = true;
        callback.on_train_batch_end(&mut hook.context()).unwrap();
        assert_eq!(hook.requests.log["lr"], 0.1);
        assert!(hook.requests.log.contains_key("lr-weight_decay"));
    }
}
