//! How many batches make a step, by epoch.

use std::collections::BTreeMap;

use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::callback::{Callback, CallbackKind, HookContext};
use crate::{Error, Result};

/// Changes how many batches make a step from one epoch to another.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GradientAccumulationSchedulerConfig {
    /// Batches of a step by the epoch, from 0, that they begin with: `{0: 1, 4: 2}` makes it two from the fifth epoch on. Before the
    /// first that is named it is 1.
    pub scheduling: BTreeMap<String, u64>,
}

component! { CallbackKind, "gradient_accumulation_scheduler", GradientAccumulationSchedulerConfig => |config, ()| {
    Ok(Box::new(GradientAccumulationScheduler::new(config)?))
} }

/// Changes how many batches make a step.
#[derive(Debug)]
pub struct GradientAccumulationScheduler(BTreeMap<u64, u64>);

impl GradientAccumulationScheduler {
    fn new(config: &GradientAccumulationSchedulerConfig) -> Result<Self, BuildError> {
        let read = |(epoch, &batches): (&String, &u64)| match (epoch.parse(), batches) {
            (Ok(epoch), 1..) => Ok((epoch, batches)),
            _ => Err(BuildError::setting(
                "scheduling",
                format!("{epoch}: {batches} is no epoch, from 0, with its batches a step, from 1"),
            )),
        };
        let scheduling: BTreeMap<u64, u64> = config.scheduling.iter().map(read).collect::<Result<_, _>>()?;
        if scheduling.is_empty() {
            return Err(BuildError::setting("scheduling", "it names no epoch: write one as in {4: 2}"));
        }
        Ok(Self(scheduling))
    }

    /// Batches that make a step in `epoch`.
    fn batches(&self, epoch: u64) -> u64 {
        self.0.range(..=epoch).next_back().map_or(1, |(_, &batches)| batches)
    }
}

impl Callback for GradientAccumulationScheduler {
    fn on_train_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if context.config.accumulate_grad_batches > 1 {
            return Err(Error::config(
                "trainer.accumulate_grad_batches",
                "the gradient-accumulation scheduler sets it by epoch: leave it at 1, or leave the callback out",
            ));
        }
        Ok(())
    }

    fn accumulate_grad_batches(&self, epoch: u64) -> Option<u64> {
        Some(self.batches(epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::tests::CallbackHook;

    fn scheduler(scheduling: &[(&str, u64)]) -> Result<GradientAccumulationScheduler, BuildError> {
        let scheduling = scheduling.iter().map(|(epoch, batches)| ((*epoch).to_owned(), *batches)).collect();
        GradientAccumulationScheduler::new(&GradientAccumulationSchedulerConfig { scheduling })
    }

    #[test]
    fn each_epoch_has_the_batches_of_the_last_that_is_named() {
        let callback = scheduler(&[("2", 4), ("10", 8)]).unwrap();
        let batches = [0, 1, 2, 9, 10, 99].map(|epoch| callback.accumulate_grad_batches(epoch).unwrap());
        assert_eq!(batches, [1, 1, 4, 4, 8, 8]);
    }

    #[test]
    fn what_is_no_schedule_and_a_second_say_are_refused() {
        assert!(scheduler(&[]).is_err() && scheduler(&[("1", 0)]).is_err());
        assert!(scheduler(&[("-1", 2)]).unwrap_err().to_string().contains("-1: 2"));
        let mut hook = CallbackHook::new([]);
        hook.config.accumulate_grad_batches = 2;
        let error = scheduler(&[("0", 2)]).unwrap().on_train_start(&mut hook.context()).unwrap_err();
        assert_eq!(error.key().as_deref(), Some("trainer.accumulate_grad_batches"));
    }
}
