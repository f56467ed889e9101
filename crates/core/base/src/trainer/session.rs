//! What every loop shares: where it stands, and how hooks are called.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use fulmen_contracts::event::{Level, Values};
use fulmen_contracts::{Axis, Stage};
use fulmen_torch::tch::{Kind, Tensor};
use serde_json::Value;

use super::anomaly::Anomaly;
use super::profile::Action;
use super::rewind::Rewind;
use super::{Optimizers, Trainer, TrainerState, metrics_event};
use crate::callback::{HookContext, Requests};
use crate::checkpoint::Saver;
use crate::metrics::Mean;
use crate::model::{Model, named};
use crate::report::{self, MemoryByPhase, Situation};
use crate::step::{LoggedValue, StepOutput};
use crate::{Batch, DataModule, Error, Hook, Result};

/// A loop, or several within each other, as far as hooks are concerned.
pub(super) struct Session<'t> {
    pub(super) trainer: &'t mut Trainer,
    pub(super) stage: Stage,
    pub(super) state: TrainerState,
    /// The latest metrics, as `stage/metric`.
    pub(super) metrics: Values,
    pub(super) optimizers: Optimizers,
    pub(super) variables: Vec<(String, Tensor)>,
    pub(super) learning_rate: f64,
    pub(super) batch_index: u64,
    pub(super) batches: u64,
    /// What hooks have asked for and what is not carried out yet.
    pub(super) requests: Requests,
    /// What the steps of the current pass have logged: the mean of each.
    pub(super) logged: Vec<(String, Mean)>,
    /// What the step at hand has logged, where its metrics are to be recorded.
    pub(super) logged_by_step: Values,
    /// Brings checkpoints to the disk beside training.
    pub(super) saver: Saver,
    /// Follows operators, with `detect_anomaly`.
    pub(super) anomaly: Option<Anomaly>,
    pub(super) memory: MemoryByPhase,
    /// Whether a loss that is not finite has been told of.
    told_of_loss: bool,
    /// How to undo a batch that fails, where a callback saves a checkpoint then.
    pub(super) rewind: Option<Rewind>,
}

/// What a hook is shown beside the run's state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen<'a> {
    pub(super) batch: Option<&'a Batch>,
    pub(super) outputs: Option<&'a StepOutput>,
    pub(super) predictions: &'a [Value],
    pub(super) error: Option<&'a Error>,
}

impl<'t> Session<'t> {
    pub(super) fn new(trainer: &'t mut Trainer, model: &dyn Model, stage: Stage) -> Self {
        Self {
            stage,
            state: TrainerState {
                accumulate_grad_batches: trainer.config.accumulate_grad_batches.max(1),
                ..TrainerState::default()
            },
            metrics: Values::new(),
            optimizers: Optimizers::default(),
            variables: named(model.variables()),
            learning_rate: f64::NAN,
            batch_index: 0,
            batches: 0,
            requests: Requests::default(),
            logged: Vec::new(),
            logged_by_step: Values::new(),
            saver: Saver::default(),
            anomaly: None,
            memory: MemoryByPhase::new(trainer.strategy.device()),
            told_of_loss: false,
            rewind: None,
            trainer,
        }
    }

    /// Calls a hook of every callback and then of the model, and notes what they ask for.
    pub(super) fn hook(&mut self, model: &mut dyn Model, hook: Hook, seen: Seen<'_>) -> Result<()> {
        self.callbacks(hook, seen)?;
        let clock = self.trainer.clock();
        let called = guarded(|| hook.call_model(model, &mut self.context(seen)));
        self.trainer.profile(Action::Hook("model", hook), clock);
        called.map_err(|error| named_hook("the model", hook, error))
    }

    /// Calls a hook of every callback alone.
    pub(super) fn callbacks(&mut self, hook: Hook, seen: Seen<'_>) -> Result<()> {
        // Taken out, so that a callback sees the trainer and none of the callbacks.
        let mut callbacks = mem::take(&mut self.trainer.callbacks);
        let called = callbacks.iter_mut().try_for_each(|(name, callback)| {
            let clock = self.trainer.clock();
            let called = guarded(|| hook.call(callback.as_mut(), &mut self.context(seen)));
            self.trainer.profile(Action::Hook(name, hook), clock);
            called.map_err(|error| named_hook(&format!("callback '{name}'"), hook, error))
        });
        self.trainer.callbacks = callbacks;
        called
    }

    pub(super) fn context<'a>(&'a mut self, seen: Seen<'a>) -> HookContext<'a> {
        HookContext {
            stage: self.stage,
            state: &self.state,
            config: &self.trainer.config,
            metrics: &self.metrics,
            variables: &self.variables,
            optimizers: &mut self.optimizers,
            batch_index: self.batch_index,
            batches: self.batches,
            batch: seen.batch,
            outputs: seen.outputs,
            predictions: seen.predictions,
            error: seen.error,
            learning_rate: self.learning_rate,
            folder: &self.trainer.folder,
            device: self.trainer.strategy.device(),
            events: &self.trainer.events,
            requests: &mut self.requests,
        }
    }

    /// Keeps values as the latest and sends them on.
    pub(super) fn record(&mut self, axis: Axis, values: Values) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let TrainerState { epoch, global_step, samples, .. } = self.state;
        let at = match axis {
            Axis::Step => global_step,
            Axis::Epoch => epoch,
            Axis::Sample => samples,
        };
        self.metrics.extend(values.iter().map(|(name, value)| (name.clone(), *value)));
        self.trainer.log_metrics(epoch, metrics_event(axis, at, global_step, values))
    }

    /// Records what hooks have asked to log.
    pub(super) fn record_requested(&mut self) -> Result<()> {
        let log = mem::take(&mut self.requests.log);
        self.record(Axis::Step, log)
    }

    /// Brings a batch to where the model is, in the run's number format.
    pub(super) fn place(&mut self, data: &mut dyn DataModule, batch: Batch) -> Result<Batch> {
        let clock = self.trainer.clock();
        let device = self.trainer.strategy.device();
        let batch = data.on_before_batch_transfer(batch, self.stage)?;
        let batch = data.transfer_batch_to_device(batch, device, self.stage)?;
        let batch = self.trainer.in_format(data.on_after_batch_transfer(batch, self.stage)?)?;
        self.trainer.profile(Action::Transfer, clock);
        Ok(batch)
    }

    /// Counts what a step logged, and with `keep` holds it for the record of this very step.
    pub(super) fn count_logged(&mut self, logged: Vec<LoggedValue>, keep: bool) -> Result<()> {
        for LoggedValue { name, value, weight } in logged {
            if keep {
                let step = format!("{}/{name}_step", self.stage.name());
                self.logged_by_step.insert(step, value.f_to_kind(Kind::Double)?.f_double_value(&[])?);
            }
            match self.logged.iter_mut().find(|(known, _)| *known == name) {
                Some((_, mean)) => mean.add(&value, weight)?,
                None => {
                    let mut mean = Mean::default();
                    mean.add(&value, weight)?;
                    self.logged.push((name, mean));
                }
            }
        }
        Ok(())
    }

    /// The means of what the steps of this pass logged; counting begins anew.
    pub(super) fn take_logged(&mut self) -> Result<Values> {
        let mut values = Values::new();
        for (name, mean) in mem::take(&mut self.logged) {
            values.extend(mean.value()?.map(|value| (name, value)));
        }
        Ok(values)
    }

    /// Tells callbacks, model and data of a failure. What fails meanwhile is told beside it.
    pub(super) fn exception(&mut self, model: &mut dyn Model, data: &mut dyn DataModule, error: &Error) {
        let seen = Seen { error: Some(error), ..Seen::default() };
        if let Err(further) = self.hook(model, Hook::Exception, seen) {
            self.trainer.events.log(Level::Error, further.to_string());
        }
        data.on_exception(error);
        self.report(error);
    }

    /// Writes what is known of a failure, where it is the run's rather than the request's.
    pub(super) fn report(&mut self, error: &Error) {
        if report::is_worth_one(error) {
            let situation = Situation {
                stage: self.stage,
                state: &self.state,
                batch: self.batch_index,
                metrics: &self.metrics,
                memory: &self.memory,
                learning_rate: self.learning_rate,
            };
            match report::write(self.trainer, situation, error) {
                Ok(note) => self.trainer.failure = Some(note),
                Err(further) => {
                    self.trainer.events.log(Level::Error, format!("no report was written: {further}"))
                }
            }
        }
    }

    /// Tells once of a loss that is not finite; for places where its value is known anyway.
    pub(super) fn look_at_loss(&mut self, value: f64) {
        if !value.is_finite() && !self.told_of_loss {
            self.told_of_loss = true;
            let step = self.state.global_step;
            self.trainer.events.log(
                Level::Warning,
                format!("the loss is {value} at step {step}; trainer.detect_anomaly=true ends the run with the first layer that made it"),
            );
        }
    }

    /// The last hooks of a stage, also where it failed.
    pub(super) fn teardown(&mut self, model: &mut dyn Model, data: &mut dyn DataModule) -> Result<()> {
        let torn = self.hook(model, Hook::Teardown, Seen::default());
        torn.and(data.teardown())
    }
}

impl Trainer {
    /// The time, where somebody wants to know how long things take.
    pub(super) fn clock(&self) -> Option<Instant> {
        self.profiler.as_ref().map(|_| Instant::now())
    }

    /// As [`Self::clock`], for an action that others are part of; [`Self::leave`] ends it.
    pub(super) fn enter(&mut self) -> Option<Instant> {
        self.profiler.as_mut().map(|profiler| {
            profiler.enter();
            Instant::now()
        })
    }

    /// Ends what [`Self::enter`] began.
    pub(super) fn leave(&mut self, action: Action<'_>, clock: Option<Instant>) {
        if let (Some(profiler), Some(began)) = (&mut self.profiler, clock) {
            profiler.leave(action, began.elapsed());
        }
    }

    /// Tells the profiler that `action` took the time since `clock`.
    pub(super) fn profile(&mut self, action: Action<'_>, clock: Option<Instant>) {
        if let (Some(profiler), Some(began)) = (&mut self.profiler, clock) {
            profiler.record(action, began.elapsed());
        }
    }
}

/// A panic, such as those of `tch`'s operators, becomes an error.
pub(super) fn guarded<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|panic| Err(Error::Torch(panic_message(panic.as_ref()))))
}

fn named_hook(owner: &str, hook: Hook, error: Error) -> Error {
    match error {
        Error::Hook { .. } | Error::Config { .. } => error,
        other => Error::Hook { owner: owner.to_owned(), hook: hook.name(), source: Box::new(other) },
    }
}

/// What a panic said, in one line: libtorch adds a trace of its own, which belongs to the log.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked without a message");
    // `tch` unwraps: `called `Result::unwrap()` on an `Err` value: Torch("…")`.
    let text = text.split_once("Torch(\"").map_or(text, |(_, rest)| rest);
    let line = text.split("\\n").next().unwrap_or(text);
    line.lines().next().unwrap_or(line).trim_end_matches("\")").to_owned()
}
