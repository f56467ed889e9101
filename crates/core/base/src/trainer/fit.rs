//! Training: epochs, batches, and when to validate, save and stop.

use std::fmt;
use std::mem;
use std::time::{Duration, Instant};

use fulmen_contracts::event::{Level, Values};
use fulmen_contracts::{Axis, Event, Stage};
use fulmen_torch::gradients;
use fulmen_torch::tch::Tensor;

use super::anomaly::Anomaly;
use super::limit::ValCheckInterval;
use super::pace::Pace;
use super::profile::Action;
use super::session::{Seen, Session};
use super::stall::StallWatch;
use super::state::TrainerState;
use super::{Optimizers, Trainer};
use crate::callback::StageProgress;
use crate::checkpoint::Checkpoint;
use crate::loader::DataLoader;
use crate::model::{Model, named};
use crate::scheduler::{Interval, SchedulerContext};
use crate::{Batch, DataModule, Error, Hook, Result, Split};

/// Makes the optimizers of a run once its model and its length are known.
pub type ConfigureOptimizers<'a> = &'a mut dyn FnMut(&dyn Model, SchedulerContext) -> Result<Optimizers>;

/// What is trained, and by what.
pub struct Parts<'a> {
    /// The model.
    pub model: &'a mut dyn Model,
    /// Where batches come from.
    pub data: &'a mut dyn DataModule,
    /// The config's optimizers, where the model brings none of its own.
    pub configure_optimizers: ConfigureOptimizers<'a>,
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("model", &self.model).field("data", &self.data).finish_non_exhaustive()
    }
}

/// How training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct FitOutcome {
    /// Whether it was asked to stop; else it is done.
    pub interrupted: bool,
    /// Why it ended, for people.
    pub reason: String,
    /// How far it came.
    pub state: TrainerState,
}

/// One call of [`Trainer::fit`].
pub(super) struct Fit<'t, 'p> {
    pub(super) session: Session<'t>,
    pub(super) model: &'p mut dyn Model,
    pub(super) data: &'p mut dyn DataModule,
    params: Vec<Tensor>,
    pub(super) train: DataLoader,
    pub(super) validation: Option<DataLoader>,
    stall: StallWatch,
    pub(super) batches: u64,
    /// `[] f32`, of the batch that was just done.
    last_loss: Option<Tensor>,
    began: Instant,
    elapsed_before_ms: u64,
    /// What a callback asked for and the least number of epochs or steps may still hold back.
    pub(super) asked_to_stop: Option<String>,
    told_to_wait: bool,
    /// Why training is to end; set once.
    ending: Option<Ending>,
}

const ASKED_TO_STOP: &str = "asked to stop";

struct Ending {
    interrupted: bool,
    reason: String,
}

impl Trainer {
    /// Trains, from the beginning or from where `resume` left off.
    ///
    /// # Errors
    /// When a step fails, a callback fails, or a checkpoint cannot be saved or resumed.
    pub fn fit(&mut self, parts: Parts<'_>, resume: Option<&Checkpoint>) -> Result<FitOutcome> {
        let Parts { model, data, configure_optimizers } = parts;
        self.config = mem::take(&mut self.config).settled()?;
        if self.config.limit_train_batches.is_zero() {
            let reason = "limit_train_batches=0: nothing was trained".to_owned();
            return Ok(FitOutcome { interrupted: false, reason, state: TrainerState::default() });
        }
        let train = self.train_loader(data)?;
        let batches = self.training_batches(&train)?;
        for (name, callback) in model.configure_callbacks()? {
            if self.callbacks.iter().all(|(known, _)| *known != name) {
                self.callbacks.push((name, callback));
            }
        }
        let validation = self.eval_loader(data, Split::Validation);
        let limit = self.loader.stall_warning.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64);
        let mut fit = Fit {
            stall: StallWatch::start(limit, self.events.clone()),
            session: Session::new(self, model, Stage::Train),
            model,
            data,
            params: Vec::new(),
            train,
            validation,
            batches,
            last_loss: None,
            began: Instant::now(),
            elapsed_before_ms: 0,
            asked_to_stop: None,
            told_to_wait: false,
            ending: None,
        };
        let done = fit.run(configure_optimizers, resume);
        if let Err(error) = &done {
            fit.session.report(error);
            fit.session.failed(fit.model, error);
            if let Err(further) = fit.carry_out() {
                fit.session.trainer.events.log(Level::Error, further.to_string());
            }
            fit.session.finish_saving();
            fit.data.on_exception(error);
        }
        let torn = fit.session.teardown(fit.model, fit.data).and_then(|()| fit.carry_out());
        fit.session.trainer.save_loggers();
        fit.session.trainer.tell_profile();
        let ending = done.and_then(|ending| torn.map(|()| ending))?;
        Ok(FitOutcome { interrupted: ending.interrupted, reason: ending.reason, state: fit.session.state })
    }
}

impl Fit<'_, '_> {
    fn run(&mut self, configure: ConfigureOptimizers<'_>, resume: Option<&Checkpoint>) -> Result<Ending> {
        if let Some(profiler) = &mut self.session.trainer.profiler {
            profiler.start()?;
        }
        self.hook(Hook::Setup)?;
        self.model.configure_model()?;
        self.session.variables = named(self.model.variables());
        let saved = match resume {
            Some(checkpoint) => Some(self.session.restore(self.model, self.data, checkpoint)?),
            None => None,
        };
        if let Some(size) = saved.as_ref().and_then(|saved| saved.trainer.tuned.batch_size) {
            self.set_batch_size(size)?;
        }
        self.configure(configure)?;
        if self.model.automatic_optimization() && self.session.optimizers.len() != 1 {
            return Err(Error::config(
                "optimizers",
                "several optimizers need a model with manual optimisation: its training step says which one steps when",
            ));
        }
        if let (Some(checkpoint), Some(saved)) = (resume, saved) {
            self.session.go_on(self.model, checkpoint, saved)?;
        }
        if resume.is_none() {
            self.session.trainer.events.cut_record(0)?;
        }
        self.session.reserve_saving(self.model)?;
        self.elapsed_before_ms = self.session.state.elapsed_ms;
        self.use_tuned_learning_rate();
        self.reschedule();
        let session = &mut self.session;
        session.memory.begin();
        if session.trainer.config.detect_anomaly {
            session.anomaly = Some(Anomaly::start(&named(self.model.variables()))?);
        }
        session.trainer.start_loggers(resume.map(|_| session.state.global_step));
        self.hook(Hook::FitStart)?;
        self.tune(configure, resume.is_some())?;
        self.collect_params();
        self.summarise()?;
        if resume.is_none() {
            gradients::clear(&self.params)?;
            self.sanity_check()?;
        }
        self.hook(Hook::TrainStart)?;
        self.epochs()?;
        let ending = self.ending.take().unwrap_or(Ending { interrupted: false, reason: String::new() });
        if ending.interrupted {
            self.save_interrupted()?;
        } else {
            self.hook(Hook::TrainEnd)?;
            self.hook(Hook::FitEnd)?;
        }
        self.session.saver.finish()?;
        Ok(ending)
    }

    /// Makes the optimizers, for the run's length.
    pub(super) fn configure(&mut self, configure: ConfigureOptimizers<'_>) -> Result<()> {
        let length = self.session.trainer.length(self.batches);
        self.session.optimizers = match self.model.configure_optimizers(length)? {
            Some(optimizers) => optimizers,
            None => configure(self.model, length)?,
        };
        self.collect_params();
        Ok(())
    }

    fn collect_params(&mut self) {
        let groups = self.session.optimizers.iter().flat_map(|slot| slot.optimizer.param_groups());
        self.params = groups.flat_map(|group| &group.params).map(Tensor::shallow_clone).collect();
    }

    fn epochs(&mut self) -> Result<()> {
        let epochs = self.session.trainer.config.epochs();
        self.next_epoch();
        self.check_limits();
        while self.ending.is_none() {
            if epochs.is_some_and(|epochs| self.session.state.epoch >= epochs) {
                self.end(false, format!("max_epochs={} reached", self.session.state.epoch));
                break;
            }
            self.reload_data()?;
            self.epoch()?;
            self.next_epoch();
        }
        Ok(())
    }

    /// Goes on to the next epoch, where this one is done.
    fn next_epoch(&mut self) {
        let state = &mut self.session.state;
        if state.epoch_done {
            (state.epoch, state.batch, state.epoch_done, state.validated) =
                (state.epoch + 1, 0, false, false);
        }
    }

    fn reload_data(&mut self) -> Result<()> {
        let every = self.session.trainer.config.reload_dataloaders_every_n_epochs;
        let epoch = self.session.state.epoch;
        if every > 0 && epoch > 0 && epoch.is_multiple_of(every) {
            self.train = self.session.trainer.train_loader(self.data)?;
            self.validation = self.session.trainer.eval_loader(self.data, Split::Validation);
            self.batches = self.session.trainer.training_batches(&self.train)?;
        }
        Ok(())
    }

    fn epoch(&mut self) -> Result<()> {
        let TrainerState { epoch, batch: from, .. } = self.session.state;
        self.session.batches = self.batches;
        self.session.state.accumulate_grad_batches = self.session.trainer.accumulate_grad_batches(epoch);
        if from == 0 {
            self.model.reset_metrics(Stage::Train);
            self.session.logged.clear();
        }
        self.hook(Hook::TrainEpochStart)?;
        let (batches, epochs) = (self.batches, self.session.trainer.config.epochs());
        self.session.trainer.events.send(Event::StageStarted { stage: Stage::Train, epoch, epochs, batches });
        let mut pace = Pace::start();
        // Left between a batch and the validation that was due after it.
        if from > 0 {
            self.validate_if_due()?;
            self.check_limits();
        }
        if self.ending.is_none() {
            self.batches_from(from, &mut pace)?;
        }
        // Asked to stop: what is left of the epoch is for the run that resumes.
        let interrupted = self.ending.as_ref().is_some_and(|ending| ending.interrupted);
        let mut values = self.model.metrics(Stage::Train)?;
        if !interrupted {
            values.extend(self.session.take_logged()?);
        }
        self.session.trainer.stage_finished(
            Stage::Train,
            epoch,
            self.session.state.batch - from,
            pace.seconds(),
            &values,
        );
        if interrupted {
            return Ok(());
        }
        let values: Values =
            values.into_iter().map(|(name, value)| (format!("train/{name}"), value)).collect();
        self.session.record(Axis::Epoch, values)?;
        self.session.state.epoch_done |= self.session.state.batch == batches;
        if self.session.state.epoch_done {
            self.session.optimizers.schedule(self.model, Interval::Epoch, epoch + 1)?;
        }
        self.touch_clock();
        self.hook(Hook::TrainEpochEnd)?;
        self.session.trainer.save_loggers();
        self.check_limits();
        Ok(())
    }

    fn batches_from(&mut self, from: u64, pace: &mut Pace) -> Result<()> {
        let (epoch, batches) = (self.session.state.epoch, self.batches);
        let mut loader = self.train.batches(epoch, from, batches);
        self.stall.follow(loader.watcher());
        loop {
            let waiting = self.session.trainer.clock();
            self.stall.waiting(self.session.state.batch);
            let next = loader.next();
            self.stall.arrived();
            let Some(batch) = next else { break };
            self.session.trainer.profile(Action::Data, waiting);
            if !self.train_batch(batch?)? {
                self.session.state.epoch_done = true;
                break;
            }
            let (done, last) = (self.session.state.batch, self.session.state.batch == batches);
            if let Some(rate) = pace.due(done - from, last || self.ending.is_some()) {
                self.tell_progress(rate)?;
            }
            if self.ending.as_ref().is_none_or(|ending| !ending.interrupted) {
                self.validate_if_due()?;
                self.check_limits();
            }
            if self.ending.is_some() && !last {
                break;
            }
        }
        Ok(())
    }

    /// One batch, from its first hook to its last. False where a hook passes over the rest of the epoch.
    fn train_batch(&mut self, batch: Batch) -> Result<bool> {
        let session = &mut self.session;
        session.batch_index = session.state.batch;
        session.begin_batch(self.model)?;
        let batch = session.place(self.data, batch)?;
        let seen = Seen { batch: Some(&batch), ..Seen::default() };
        session.hook(self.model, Hook::TrainBatchStart, seen)?;
        if mem::take(&mut session.requests.skip_epoch) {
            session.end_batch();
            return Ok(false);
        }
        let closes = session.state.batch + 1 == self.batches;
        let outputs = session.train_batch(self.model, &batch, closes)?;
        let state = &mut session.state;
        (state.batch, state.total_batches, state.validated) =
            (state.batch + 1, state.total_batches + 1, false);
        state.samples += batch.size().max(0) as u64;
        session.end_batch();
        session.log_step(outputs.loss.as_ref())?;
        self.touch_clock();
        let seen = Seen { outputs: Some(&outputs), ..seen };
        self.session.hook(self.model, Hook::TrainBatchEnd, seen)?;
        self.carry_out()?;
        self.last_loss = outputs.loss.map(|loss| loss.detach());
        if self.session.state.stepped && self.model.automatic_optimization() {
            // Spent: freed now rather than at the next window, so that the next forward pass has the room.
            gradients::clear(&self.params)?;
        }
        if let Some(profiler) = &mut self.session.trainer.profiler {
            profiler.step()?;
        }
        if self.session.trainer.stop.is_set() {
            self.end(true, ASKED_TO_STOP.to_owned());
        }
        Ok(true)
    }

    fn tell_progress(&mut self, rate: f64) -> Result<()> {
        if !self.session.trainer.config.enable_progress_bar {
            return Ok(());
        }
        let mut values = self.model.running_metrics(Stage::Train)?;
        if let Some(loss) = &self.last_loss {
            let value = loss.f_double_value(&[])?;
            self.session.look_at_loss(value);
            values.insert("loss".to_owned(), value);
        }
        values.insert("lr".to_owned(), self.session.learning_rate);
        let (stage, TrainerState { epoch, batch, .. }) = (Stage::Train, self.session.state);
        self.session.trainer.tell_progress(&StageProgress {
            stage,
            epoch,
            batch,
            batches: self.batches,
            rate,
            values: &values,
        });
        Ok(())
    }

    /// Whether validation is due after the batch that was just done, as Lightning decides it.
    fn validation_is_due(&self) -> bool {
        let (config, state) = (&self.session.trainer.config, &self.session.state);
        if state.validated || self.validation.is_none() || config.limit_val_batches.is_zero() {
            return false;
        }
        let this_epoch =
            config.check_val_every_n_epoch.is_none_or(|every| (state.epoch + 1).is_multiple_of(every.max(1)));
        let by_count = match config.val_check_interval {
            ValCheckInterval::Share(share) => {
                let every = ((self.batches as f64 * share.min(1.0)) as u64).max(1);
                state.batch.is_multiple_of(every)
            }
            ValCheckInterval::Batches(every) if config.check_val_every_n_epoch.is_none() => {
                state.total_batches.is_multiple_of(every.max(1))
            }
            ValCheckInterval::Batches(every) => state.batch.is_multiple_of(every.max(1)),
            ValCheckInterval::Time(time) => {
                u128::from(state.elapsed_ms.saturating_sub(state.validated_at_ms)) >= time.0.as_millis()
            }
        };
        let before_stopping = self.asked_to_stop.is_some() && self.may_stop();
        this_epoch && (by_count || before_stopping)
    }

    fn validate_if_due(&mut self) -> Result<()> {
        if !self.validation_is_due() {
            return Ok(());
        }
        let Some(loader) = self.validation.clone() else { return Ok(()) };
        if self.session.state.window == 0 {
            self.hook(Hook::ValidationModelZeroGrad)?;
        }
        let clock = self.session.trainer.enter();
        self.session.evaluate(self.model, self.data, &loader, Stage::Validate)?;
        self.session.trainer.leave(Action::Validation, clock);
        if self.session.state.validated {
            let Session { optimizers, metrics, .. } = &mut self.session;
            optimizers.observe(|name| metrics.get(name).copied());
            self.carry_out()?;
        }
        Ok(())
    }

    fn sanity_check(&mut self) -> Result<()> {
        let Some(loader) = self.validation.clone() else { return Ok(()) };
        if self.session.trainer.config.batches(Stage::SanityCheck, loader.len()) > 0 {
            self.hook(Hook::SanityCheckStart)?;
            let clock = self.session.trainer.enter();
            self.session.evaluate(self.model, self.data, &loader, Stage::SanityCheck)?;
            self.session.trainer.leave(Action::Validation, clock);
            self.carry_out()?;
            self.hook(Hook::SanityCheckEnd)?;
        }
        Ok(())
    }

    /// Whether a limit of the run is reached. An open window is no hindrance: a checkpoint keeps its gradients.
    fn check_limits(&mut self) {
        let config = &self.session.trainer.config;
        let state = &self.session.state;
        if self.session.trainer.stop.is_set() {
            self.end(true, ASKED_TO_STOP.to_owned());
        } else if config.steps().is_some_and(|steps| state.global_step >= steps) {
            self.end(false, format!("max_steps={} reached", state.global_step));
        } else if let Some(limit) =
            config.max_time.filter(|limit| u128::from(self.elapsed_ms()) >= limit.0.as_millis())
        {
            self.end(false, format!("max_time={limit} reached"));
        } else if self.asked_to_stop.is_some() && self.may_stop() {
            let reason = self.asked_to_stop.take().unwrap_or_default();
            self.end(false, reason);
        } else if let Some(reason) = self.asked_to_stop.as_ref().filter(|_| !self.told_to_wait) {
            let message = format!("{reason}; training goes on until min_epochs and min_steps are met");
            self.session.trainer.events.log(Level::Info, message);
            self.told_to_wait = true;
        }
    }

    /// Whether the least number of epochs and steps is done.
    fn may_stop(&self) -> bool {
        let (config, state) = (&self.session.trainer.config, &self.session.state);
        let epochs = state.epoch + u64::from(state.epoch_done || state.batch == self.batches);
        config.min_epochs.is_none_or(|fewest| epochs >= fewest)
            && config.min_steps.is_none_or(|fewest| state.global_step >= fewest)
    }

    fn end(&mut self, interrupted: bool, reason: String) {
        self.ending.get_or_insert(Ending { interrupted, reason });
    }

    fn elapsed_ms(&self) -> u64 {
        self.elapsed_before_ms + u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn touch_clock(&mut self) {
        self.session.state.elapsed_ms = self.elapsed_ms();
    }

    fn hook(&mut self, hook: Hook) -> Result<()> {
        self.session.hook(self.model, hook, Seen::default())?;
        self.carry_out()
    }
}
