//! Training: epochs, batches, steps.

use std::fs;
use std::mem;
use std::time::{Duration, Instant};

use fulmen_contracts::event::Values;
use fulmen_contracts::{Axis, Event, Stage};
use fulmen_torch::gradients;
use fulmen_torch::tch::{self, Tensor};
use fulmen_utils::Address;

use super::config::GradientClipAlgorithm;
use super::pace::Pace;
use super::state::TrainerState;
use super::{Trainer, metrics_event, time_limit};
use crate::callback::{Callback, CallbackContext, CheckpointRequest, Requests, StageProgress};
use crate::checkpoint::{self, Checkpoint, SavedState};
use crate::loader::DataLoader;
use crate::model::{Model, named, trainable};
use crate::optimizer::Optimizer;
use crate::scheduler::{Interval, Scheduler};
use crate::{Batch, DataModule, Error, Result, Split};

/// What is trained, and by what.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The model.
    pub model: &'a mut dyn Model,
    /// Moves its parameters.
    pub optimizer: &'a mut dyn Optimizer,
    /// Changes the learning rate; none leaves it as it is.
    pub scheduler: Option<&'a mut dyn Scheduler>,
    /// Where batches come from.
    pub data: &'a dyn DataModule,
}

/// How training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct FitOutcome {
    /// Whether it was asked to stop; else it is done.
    pub interrupted: bool,
    /// Why it ended, for people.
    pub reason: String,
    /// The latest metrics, as `stage/metric`.
    pub metrics: Values,
    /// How far it came.
    pub state: TrainerState,
}

/// One call of [`Trainer::fit`].
struct Fit<'t, 'p> {
    trainer: &'t mut Trainer,
    parts: Parts<'p>,
    params: Vec<Tensor>,
    learning_rate: f64,
    train: DataLoader,
    validation: Option<DataLoader>,
    batches: u64,
    state: TrainerState,
    metrics: Values,
    deadline: Option<Instant>,
    /// Why training is to end; set once.
    ending: Option<Ending>,
}

struct Ending {
    interrupted: bool,
    reason: String,
}

type Hook = fn(&mut dyn Callback, &mut CallbackContext<'_>) -> Result<()>;

impl Trainer {
    /// Trains, from the beginning or from where `resume` left off.
    ///
    /// # Errors
    /// When a step fails, a callback fails, or a checkpoint cannot be saved or resumed.
    pub fn fit(&mut self, parts: Parts<'_>, resume: Option<&Checkpoint>) -> Result<FitOutcome> {
        let train = self.train_loader(parts.data)?;
        let batches = self.config.batches(Stage::Train, train.len());
        if batches == 0 {
            return Err(Error::config(
                "trainer.limit_train_batches",
                "no training batch is left: raise it, or lower dataloader.batch_size",
            ));
        }
        let deadline = self.config.max_time.as_deref().map(time_limit::parse).transpose()?;
        let params: Vec<Tensor> =
            trainable(parts.model.variables()).into_iter().map(|(_, param)| param).collect();
        let learning_rate = learning_rate(parts.optimizer);
        let mut fit = Fit {
            validation: self.eval_loader(parts.data, Split::Validation),
            parts,
            params,
            learning_rate,
            train,
            batches,
            state: TrainerState::default(),
            metrics: Values::new(),
            deadline: deadline.map(|time: Duration| Instant::now() + time),
            ending: None,
            trainer: self,
        };
        match resume {
            Some(checkpoint) => fit.restore(checkpoint)?,
            None => fit.sanity_check()?,
        }
        fit.run()
    }
}

impl Fit<'_, '_> {
    fn run(mut self) -> Result<FitOutcome> {
        self.hook(|callback, context| callback.on_train_start(context))?;
        let epochs = self.trainer.config.epochs();
        self.check_limits();
        while self.ending.is_none() {
            if epochs.is_some_and(|epochs| self.state.epoch >= epochs) {
                self.end(false, format!("max_epochs={} reached", self.state.epoch));
                break;
            }
            self.epoch()?;
            if self.state.epoch_done {
                self.state =
                    TrainerState { epoch: self.state.epoch + 1, batch: 0, epoch_done: false, ..self.state };
            }
        }
        let ending = self.ending.take().unwrap_or(Ending { interrupted: false, reason: String::new() });
        if ending.interrupted {
            let name = format!("epoch={}-step={}", self.state.epoch, self.state.global_step);
            self.save(&CheckpointRequest {
                name,
                aliases: vec!["last"],
                replaces: Vec::new(),
                reason: "interrupted".to_owned(),
            })?;
        } else {
            self.hook(|callback, context| callback.on_train_end(context))?;
        }
        Ok(FitOutcome {
            interrupted: ending.interrupted,
            reason: ending.reason,
            metrics: self.metrics,
            state: self.state,
        })
    }

    fn epoch(&mut self) -> Result<()> {
        let TrainerState { epoch, batch: from, .. } = self.state;
        self.hook(|callback, context| callback.on_train_epoch_start(context))?;
        self.parts.model.reset_metrics(Stage::Train);
        let (batches, epochs) = (self.batches, self.trainer.config.epochs());
        self.trainer.events.send(Event::StageStarted { stage: Stage::Train, epoch, epochs, batches });
        let validate_every = self.trainer.config.validation_interval(batches);
        let mut pace = Pace::start();
        for batch in self.train.batches(epoch, from, batches) {
            let loss = self.batch(batch?)?;
            self.state.batch += 1;
            self.log_step(&loss)?;
            self.hook(|callback, context| callback.on_train_batch_end(context))?;
            self.check_limits();
            let last = self.state.batch == batches;
            if let Some(rate) = pace.due(self.state.batch - from, last || self.ending.is_some()) {
                let mut values = self.parts.model.metrics(Stage::Train)?;
                values.insert("loss".to_owned(), loss.double_value(&[]));
                let (stage, batch) = (Stage::Train, self.state.batch);
                self.trainer.tell_progress(&StageProgress {
                    stage,
                    epoch,
                    batch,
                    batches,
                    rate,
                    values: &values,
                });
            }
            if !last && self.state.batch.is_multiple_of(validate_every) && self.validates_this_epoch() {
                self.validate()?;
            }
            if self.ending.is_some() && !last {
                break;
            }
        }
        let values = self.parts.model.metrics(Stage::Train)?;
        self.trainer.stage_finished(Stage::Train, epoch, self.state.batch - from, pace.seconds(), &values);
        // Asked to stop: what is left of the epoch is for the run that resumes.
        if self.ending.as_ref().is_some_and(|ending| ending.interrupted) {
            return Ok(());
        }
        let values: Values =
            values.into_iter().map(|(name, value)| (format!("train/{name}"), value)).collect();
        self.record(Axis::Epoch, values);
        if self.validates_this_epoch() {
            self.validate()?;
        }
        self.state.epoch_done = self.state.batch == batches;
        self.hook(|callback, context| callback.on_train_epoch_end(context))
    }

    /// Forward, backward and, at the end of an accumulation window, the step. Returns the loss, `[] f32`.
    fn batch(&mut self, batch: Batch) -> Result<Tensor> {
        let batch = self.trainer.place(batch)?;
        let TrainerState { epoch, batch: number, .. } = self.state;
        // What dropout draws is a function of seed, epoch and batch: a resumed run draws the same.
        tch::manual_seed(Address::root(self.trainer.seed).named("step").at(epoch).at(number).seed() as i64);
        let model = &mut *self.parts.model;
        let loss = self.trainer.guarded(Stage::Train, number, || model.training_step(&batch))?;
        let window = self.trainer.config.accumulate_grad_batches.max(1);
        let scaled = if window == 1 { loss.shallow_clone() } else { &loss / window as f64 };
        self.trainer.strategy.backward(&scaled)?;
        self.state.stepped = (number + 1).is_multiple_of(window) || number + 1 == self.batches;
        if self.state.stepped {
            self.step()?;
        }
        Ok(loss.detach())
    }

    fn step(&mut self) -> Result<()> {
        if let Some(bound) = self.trainer.config.gradient_clip_val {
            match self.trainer.config.gradient_clip_algorithm {
                GradientClipAlgorithm::Norm => drop(gradients::clip_norm(&self.params, bound, 2.0)?),
                GradientClipAlgorithm::Value => gradients::clip_value(&self.params, bound)?,
            }
        }
        if let Some(scheduler) = self.parts.scheduler.as_deref_mut() {
            let done = match scheduler.interval() {
                Interval::Step => self.state.global_step,
                Interval::Epoch => self.state.epoch,
            };
            scheduler.apply(done, self.parts.optimizer.param_groups_mut());
        }
        self.learning_rate = learning_rate(self.parts.optimizer);
        self.parts.optimizer.step()?;
        gradients::clear(&self.params)?;
        self.state.global_step += 1;
        Ok(())
    }

    fn log_step(&mut self, loss: &Tensor) -> Result<()> {
        let every = self.trainer.config.log_every_n_steps.max(1);
        self.state.logs_this_step = self.state.stepped && self.state.global_step.is_multiple_of(every);
        if self.state.logs_this_step {
            self.record(Axis::Step, [("train/loss_step".to_owned(), loss.f_double_value(&[])?)].into());
        }
        Ok(())
    }

    fn validates_this_epoch(&self) -> bool {
        self.validation.is_some()
            && (self.state.epoch + 1).is_multiple_of(self.trainer.config.check_val_every_n_epoch.max(1))
    }

    fn validate(&mut self) -> Result<()> {
        let Some(loader) = self.validation.clone() else { return Ok(()) };
        let values = self.trainer.evaluate(self.parts.model, &loader, Stage::Validate, self.state.epoch)?;
        if self.trainer.stop.is_set() {
            return Ok(()); // Cut short: its metrics are not those of the whole split.
        }
        self.record(Axis::Epoch, values);
        self.hook(|callback, context| callback.on_validation_end(context))
    }

    fn sanity_check(&mut self) -> Result<()> {
        let Some(loader) = self.validation.clone() else { return Ok(()) };
        if self.trainer.config.batches(Stage::SanityCheck, loader.len()) > 0
            && self.trainer.config.fast_dev_run.batches().is_none()
        {
            self.trainer.evaluate(self.parts.model, &loader, Stage::SanityCheck, 0)?;
        }
        Ok(())
    }

    /// Keeps values as the latest and sends them on.
    fn record(&mut self, axis: Axis, values: Values) {
        if values.is_empty() {
            return;
        }
        let step = self.state.global_step;
        let at = if axis == Axis::Step { step } else { self.state.epoch };
        self.metrics.extend(values.clone());
        self.trainer.events.send(metrics_event(axis, at, step, values));
    }

    /// Whether a limit of the run is reached. Only between steps: within a window of accumulation, gradients would be lost.
    fn check_limits(&mut self) {
        if !self.state.stepped && self.state.batch > 0 {
            return;
        }
        let config = &self.trainer.config;
        if self.trainer.stop.is_set() {
            self.end(true, "asked to stop".to_owned());
        } else if config.steps().is_some_and(|steps| self.state.global_step >= steps) {
            self.end(false, format!("max_steps={} reached", self.state.global_step));
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let time = config.max_time.clone().unwrap_or_default();
            self.end(false, format!("max_time={time} reached"));
        }
    }

    fn end(&mut self, interrupted: bool, reason: String) {
        self.ending.get_or_insert(Ending { interrupted, reason });
    }

    /// Calls a hook of every callback, then does what they asked for.
    fn hook(&mut self, hook: Hook) -> Result<()> {
        let mut requests = Requests::default();
        let mut callbacks = mem::take(&mut self.trainer.callbacks);
        let called = callbacks.iter_mut().try_for_each(|(name, callback)| {
            let mut context = CallbackContext {
                state: &self.state,
                metrics: &self.metrics,
                learning_rate: self.learning_rate,
                folder: &self.trainer.folder,
                events: &self.trainer.events,
                requests: &mut requests,
            };
            hook(callback.as_mut(), &mut context).map_err(|error| match error {
                Error::Callback { .. } | Error::Config { .. } => error,
                other => Error::Callback { name: name.clone(), source: Box::new(other) },
            })
        });
        self.trainer.callbacks = callbacks;
        called?;
        self.record(Axis::Step, requests.log);
        if let Some(reason) = requests.stop {
            self.end(false, reason);
        }
        for request in requests.checkpoints {
            self.save(&request)?;
        }
        Ok(())
    }

    fn save(&mut self, request: &CheckpointRequest) -> Result<()> {
        let config = &self.trainer.config;
        if !config.enable_checkpointing || config.fast_dev_run.batches().is_some() {
            return Ok(());
        }
        let folder = self.trainer.checkpoint_folder();
        let state = SavedState {
            trainer: self.state.clone(),
            callbacks: self
                .trainer
                .callbacks
                .iter()
                .map(|(name, callback)| (name.clone(), callback.state_dict()))
                .collect(),
            config: self.trainer.run_config.clone(),
        };
        let model = named(self.parts.model.variables());
        checkpoint::save(&folder.join(&request.name), &model, &self.parts.optimizer.state_dict(), &state)?;
        for alias in &request.aliases {
            checkpoint::point(&folder, alias, &request.name)?;
        }
        for old in &request.replaces {
            // An old checkpoint that stays costs only room.
            let _ = fs::remove_dir_all(folder.join(old));
        }
        self.trainer.events.send(Event::Checkpoint {
            path: format!("checkpoints/{}", request.name),
            step: self.state.global_step,
            reason: request.reason.clone(),
        });
        Ok(())
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.trainer.load_weights(self.parts.model, checkpoint)?;
        self.parts.optimizer.load_state_dict(&checkpoint.optimizer()?)?;
        let saved = checkpoint.state()?;
        for (name, callback) in &mut self.trainer.callbacks {
            if let Some(state) = saved.callbacks.get(name).filter(|state| !state.is_null()) {
                callback.load_state_dict(state)?;
            }
        }
        self.state = saved.trainer;
        self.state.stepped = true;
        if self.state.epoch_done {
            self.state =
                TrainerState { epoch: self.state.epoch + 1, batch: 0, epoch_done: false, ..self.state };
        }
        Ok(())
    }
}

/// The rate of the first group, which stands for all where one number is shown.
fn learning_rate(optimizer: &dyn Optimizer) -> f64 {
    optimizer.param_groups().first().map_or(0.0, |group| group.lr)
}
