//! Where values go: as events to the tracking store, and to loggers.

use fulmen_contracts::event::{Level, Values};
use fulmen_contracts::{Axis, Event};

use super::{Trainer, TrainerState, metrics_event};
use crate::logger::{Logger, LoggerStart, MetricsRecord};
use crate::{Error, Result};

impl Trainer {
    /// Sends values on that were measured after training, at the step where it ended.
    ///
    /// # Errors
    /// When the run's record cannot be written.
    pub fn record_final(&mut self, state: &TrainerState, values: Values) -> Result<()> {
        self.log_metrics(state.epoch, metrics_event(Axis::Epoch, state.epoch, state.global_step, values))?;
        self.save_loggers();
        Ok(())
    }

    /// Sends values to whoever records them.
    pub(super) fn log_metrics(&mut self, epoch: u64, metrics: Event) -> Result<()> {
        if let Event::Metrics { step, time_ms, values, .. } = &metrics
            && !self.loggers.is_empty()
        {
            let record = MetricsRecord { epoch, step: *step, time_ms: *time_ms, values };
            self.each_logger(|logger| logger.log_metrics(&record));
        }
        self.events.send_metrics(metrics)
    }

    /// Opens the loggers, for a new run or for one that goes on after so many steps.
    pub(super) fn start_loggers(&mut self, resumed_at: Option<u64>) {
        let (folder, hparams) = (self.folder.clone(), std::mem::take(&mut self.run_config));
        let start = LoggerStart { folder: &folder, hparams: &hparams, resumed_at };
        self.each_logger(|logger| logger.start(&start));
        self.run_config = hparams;
    }

    /// Has the loggers write what they hold.
    pub(super) fn save_loggers(&mut self) {
        self.each_logger(|logger| logger.save());
    }

    /// Tells where the time went, where somebody measured it.
    pub(super) fn tell_profile(&mut self) {
        match self.profiler.as_mut().map(|profiler| profiler.finish(&self.folder)) {
            Some(Ok(profile)) => self.events.send(Event::Profile { profile }),
            Some(Err(error)) => self.events.log(Level::Warning, format!("no profile was written: {error}")),
            None => {}
        }
    }

    /// A logger that fails is left out from then on: the tracking store has the values, and training goes on.
    fn each_logger(&mut self, mut call: impl FnMut(&mut dyn Logger) -> Result<()>) {
        let events = &self.events;
        self.loggers.retain_mut(|(name, logger)| {
            let called: Result<(), Error> = call(logger.as_mut());
            if let Err(error) = &called {
                events.log(Level::Warning, format!("logger '{name}' is left out from now on: {error}"));
            }
            called.is_ok()
        });
    }
}
