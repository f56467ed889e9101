//! How long a run is: batches of an epoch, steps of all of them.

use fulmen_contracts::Stage;

use super::Trainer;
use super::limit::ValCheckInterval;
use crate::loader::DataLoader;
use crate::scheduler::SchedulerContext;
use crate::{Error, Result};

impl Trainer {
    /// How long a run with so many batches an epoch will be, for schedules.
    pub(super) fn length(&self, batches: u64) -> SchedulerContext {
        let steps = |epoch| batches.div_ceil(self.accumulate_grad_batches(epoch));
        let scheduled =
            self.callbacks.iter().any(|(_, callback)| callback.accumulate_grad_batches(0).is_some());
        let by_epochs = self.config.epochs().map(|epochs| {
            if scheduled { (0..epochs).map(steps).sum() } else { epochs.saturating_mul(steps(0)) }
        });
        let total_steps = [by_epochs, self.config.steps()].into_iter().flatten().min();
        SchedulerContext { total_steps, total_epochs: self.config.epochs() }
    }

    /// Batches that make a step in `epoch`.
    pub(super) fn accumulate_grad_batches(&self, epoch: u64) -> u64 {
        let scheduled =
            self.callbacks.iter().find_map(|(_, callback)| callback.accumulate_grad_batches(epoch));
        scheduled.unwrap_or(self.config.accumulate_grad_batches).max(1)
    }

    pub(super) fn training_batches(&self, train: &DataLoader) -> Result<u64> {
        if self.loader.timeout > 0 && self.loader.num_workers == 0 {
            return Err(Error::config(
                "dataloader.timeout",
                "a batch that training itself reads cannot be given up: set dataloader.num_workers=1 or more, or timeout=0",
            ));
        }
        let available = train.len();
        let batches = self.config.batches(Stage::Train, available);
        if batches == 0 {
            return Err(if available == 0 {
                Error::config(
                    "dataloader.batch_size",
                    "no batch is whole: lower it, or set dataloader.drop_last=false",
                )
            } else {
                Error::config(
                    "trainer.limit_train_batches",
                    format!(
                        "of {available} batches none is left: raise it to at least {:.4}",
                        1.0 / available as f64
                    ),
                )
            });
        }
        match self.config.val_check_interval {
            ValCheckInterval::Batches(every)
                if every > batches
                    && self.config.check_val_every_n_epoch.is_some()
                    && self.config.fast_dev_run.batches().is_none() =>
            {
                Err(Error::config(
                    "trainer.val_check_interval",
                    format!(
                        "{every} is more than the {batches} training batches of an epoch: lower it, set check_val_every_n_epoch=null to count over all epochs, or limit_val_batches=0 to turn validation off"
                    ),
                ))
            }
            _ => Ok(batches),
        }
    }
}
