//! Searches before training: for a learning rate, for a batch size. Whatever they try is undone before training begins.

mod batch_size;
mod learning_rate;
mod memory;
mod trial;

use std::mem;
use std::num::NonZeroUsize;

use fulmen_contracts::event::Level;

pub use batch_size::{BatchSizeSearch, SizeSearchMode};
pub use learning_rate::{LearningRateCurve, LearningRateSearch, Spacing};

use super::fit::{ConfigureOptimizers, Fit};
use super::session::Seen;
use crate::{Result, Split};

/// A search before training, asked for at `on_fit_start`.
#[derive(Debug, Clone)]
pub enum Tuning {
    /// For the learning rate.
    LearningRate(LearningRateSearch),
    /// For the number of samples of a training batch.
    BatchSize(BatchSizeSearch),
}

impl Fit<'_, '_> {
    /// Does the searches that were asked for, in order. A run that goes on keeps what was found when it began.
    pub(super) fn tune(&mut self, configure: ConfigureOptimizers<'_>, resumed: bool) -> Result<()> {
        let searches = mem::take(&mut self.session.requests.tuning);
        if resumed || self.session.trainer.config.fast_dev_run.batches().is_some() {
            return Ok(());
        }
        for search in searches {
            match search {
                Tuning::LearningRate(search) => self.tune_learning_rate(&search)?,
                Tuning::BatchSize(search) => self.tune_batch_size(&search, configure)?,
            }
        }
        Ok(())
    }

    fn tune_learning_rate(&mut self, search: &LearningRateSearch) -> Result<()> {
        let message = format!("trying {} learning rates, one a step", search.num_training_steps);
        self.session.trainer.events.log(Level::Info, message);
        let curve = self.search_learning_rate(search)?;
        let mut callbacks = mem::take(&mut self.session.trainer.callbacks);
        let told = callbacks.iter_mut().try_for_each(|(_, callback)| {
            callback.on_learning_rate_found(&curve, &mut self.session.context(Seen::default()))
        });
        self.session.trainer.callbacks = callbacks;
        told?;
        self.carry_out()?;
        let events = &self.session.trainer.events;
        match curve.suggested() {
            Some(rate) if search.update_attr => {
                events.log(Level::Info, format!("learning rate {rate:.3e}, as found by the finder"));
                self.session.state.tuned.learning_rate = Some(rate);
                self.use_tuned_learning_rate();
                self.reschedule();
            }
            Some(rate) => {
                events.log(Level::Info, format!("the finder suggests the learning rate {rate:.3e}"))
            }
            None => events.log(
                Level::Warning,
                "the finder has too few losses to suggest a learning rate: raise num_training_steps"
                    .to_owned(),
            ),
        }
        Ok(())
    }

    fn tune_batch_size(
        &mut self,
        search: &BatchSizeSearch,
        configure: ConfigureOptimizers<'_>,
    ) -> Result<()> {
        self.session.trainer.events.log(Level::Info, "trying batch sizes until one does not fit".to_owned());
        let size = self.search_batch_size(search)?;
        self.session.trainer.events.log(Level::Info, format!("batch size {size}, as found by the finder"));
        self.session.state.tuned.batch_size = Some(size);
        self.set_batch_size(size)?;
        // Schedules are as long as the run now is.
        self.configure(configure)?;
        self.use_tuned_learning_rate();
        self.reschedule();
        Ok(())
    }

    /// Samples a training batch from now on: loaders and the epoch's length follow.
    pub(super) fn set_batch_size(&mut self, size: NonZeroUsize) -> Result<()> {
        let trainer = &mut self.session.trainer;
        trainer.loader.batch_size = size;
        self.train = trainer.train_loader(self.data)?;
        self.validation = trainer.eval_loader(self.data, Split::Validation);
        self.batches = trainer.training_batches(&self.train)?;
        Ok(())
    }

    /// Puts the rate that was found in the place of the configured one.
    pub(super) fn use_tuned_learning_rate(&mut self) {
        let Some(rate) = self.session.state.tuned.learning_rate else { return };
        for slot in self.session.optimizers.iter_mut() {
            for group in slot.optimizer.param_groups_mut() {
                (group.lr, group.initial_lr) = (rate, rate);
            }
        }
    }
}
