//! One training batch: forward, backward and, at the end of a window, the step.

use fulmen_contracts::{Axis, Stage};
use fulmen_torch::gradients;
use fulmen_torch::tch::{self, Tensor};
use fulmen_utils::Address;

use super::GradientClipping;
use super::optimization::{DEFAULT_OPTIMIZER, ManualOptimization};
use super::profile::Action;
use super::session::{Seen, Session, guarded};
use crate::model::Model;
use crate::report::Phase;
use crate::scheduler::Interval;
use crate::step::{StepContext, StepOutput};
use crate::{Batch, Error, Hook, Result};

impl Session<'_> {
    /// Forward, backward and, where `closes` says that the batch is the last of its epoch or window, the step.
    pub(super) fn train_batch(
        &mut self,
        model: &mut dyn Model,
        batch: &Batch,
        closes: bool,
    ) -> Result<StepOutput> {
        // What dropout draws is a function of seed, epoch and batch: a resumed run draws the same.
        let address =
            Address::root(self.trainer.seed).named("step").at(self.state.epoch).at(self.state.batch);
        tch::manual_seed(address.seed() as i64);
        self.state.stepped = false;
        self.memory.begin_step();
        if let Some(anomaly) = &self.anomaly {
            anomaly.begin()?;
        }
        let outputs = self.training_step(model, batch)?;
        self.memory.read(Phase::Forward);
        if let (Some(anomaly), Some(loss)) = (&self.anomaly, &outputs.loss) {
            anomaly.check_loss(self.state.batch, loss)?;
        }
        if model.automatic_optimization()
            && let Some(loss) = &outputs.loss
        {
            self.optimize(model, loss, &outputs, closes)?;
        }
        if let Some(anomaly) = &self.anomaly {
            anomaly.end()?;
        }
        Ok(outputs)
    }

    fn training_step(&mut self, model: &mut dyn Model, batch: &Batch) -> Result<StepOutput> {
        let (precision, device) = (self.trainer.config.precision, self.trainer.strategy.device());
        let (stage, number) = (Stage::Train, self.state.batch);
        let record = self.will_log();
        let manual = !model.automatic_optimization();
        let counts_metrics = !self.trainer.config.barebones;
        let mut logged = Vec::new();
        // Manual optimisation has its backward pass and steps within it.
        let clock = self.trainer.enter();
        let (epoch, global_step) = (self.state.epoch, self.state.global_step);
        let stepped = guarded(|| {
            let mut context = StepContext {
                stage,
                epoch,
                batch_index: number,
                global_step,
                batch_size: batch.size(),
                counts_metrics,
                logged: &mut logged,
                manual: manual.then_some(self as &mut dyn ManualOptimization),
            };
            precision.run(device, || model.training_step(batch, &mut context))?
        });
        self.trainer.leave(Action::Forward, clock);
        let outputs = stepped.map_err(|error| in_step(stage, number, error))?;
        self.count_logged(logged, record)?;
        Ok(outputs)
    }

    fn optimize(
        &mut self,
        model: &mut dyn Model,
        loss: &Tensor,
        outputs: &StepOutput,
        closes: bool,
    ) -> Result<()> {
        let seen = Seen { outputs: Some(outputs), ..Seen::default() };
        let window = self.state.accumulate_grad_batches;
        if self.state.window == 0 {
            self.hook(model, Hook::BeforeZeroGrad, seen)?;
            model.optimizer_zero_grad(&self.trained(DEFAULT_OPTIMIZER)?)?;
        }
        let scaled = if window == 1 { loss.shallow_clone() } else { loss / window as f64 };
        self.hook(model, Hook::BeforeBackward, seen)?;
        let clock = self.trainer.clock();
        let scaled = self
            .trainer
            .scaler
            .as_ref()
            .map_or(Ok(scaled.shallow_clone()), |scaler| scaler.scale(&scaled))?;
        let strategy = self.trainer.strategy.as_mut();
        let propagated = guarded(|| model.backward(&scaled, strategy));
        propagated.map_err(|error| self.backward_error(error))?;
        self.trainer.profile(Action::Backward, clock);
        self.memory.read(Phase::Backward);
        self.hook(model, Hook::AfterBackward, seen)?;
        self.state.window += 1;
        if !(closes || self.state.window >= window) {
            return Ok(());
        }
        let params = self.trained(DEFAULT_OPTIMIZER)?;
        self.unscale(&params)?;
        self.hook(model, Hook::BeforeOptimizerStep, seen)?;
        let clock = self.trainer.clock();
        (self.state.window, self.state.stepped) = (0, true);
        let clipping = self.trainer.config.clipping();
        if std::mem::take(&mut self.requests.skip_step) {
            gradients::clear(&params)?;
        } else {
            guarded(|| model.configure_gradient_clipping(&params, clipping))?;
            self.step(DEFAULT_OPTIMIZER, |optimizer| model.optimizer_step(optimizer))?;
        }
        self.optimizers.schedule(model, Interval::Step, self.state.epoch)?;
        self.trainer.profile(Action::Optimizer, clock);
        self.memory.read(Phase::Optimizer);
        Ok(())
    }

    /// What went wrong in the backward pass, with the layer where a gradient was first not finite.
    fn backward_error(&self, error: Error) -> Error {
        let step = self.state.batch;
        match &self.anomaly {
            Some(anomaly) => anomaly.of_backward(step, in_step(Stage::Train, step, error)),
            None => in_step(Stage::Train, step, error),
        }
    }

    /// The optimizer's own step, unless the precision's loss scale made gradients that are not finite.
    fn step(&mut self, name: &str, step: impl FnOnce(&mut dyn crate::Optimizer) -> Result<()>) -> Result<()> {
        self.begin_step();
        let slot = self.optimizers.get_mut(name)?;
        let optimizer = slot.optimizer.as_mut();
        self.learning_rate = optimizer.param_groups().first().map_or(f64::NAN, |group| group.lr);
        let finite = match &mut self.trainer.scaler {
            Some(scaler) => scaler.update()?,
            None => true,
        };
        if finite {
            guarded(|| step(optimizer)).map_err(|error| in_step(Stage::Train, self.state.batch, error))?;
        }
        slot.steps += 1;
        self.state.global_step += 1;
        Ok(())
    }

    /// Brings gradients back to their own size, where the precision scaled them.
    fn unscale(&mut self, params: &[Tensor]) -> Result<()> {
        match &mut self.trainer.scaler {
            Some(scaler) => Ok(scaler.unscale(params)?),
            None => Ok(()),
        }
    }

    /// The parameters of one optimizer.
    fn trained(&mut self, name: &str) -> Result<Vec<Tensor>> {
        let groups = self.optimizers.get_mut(name)?.optimizer.param_groups();
        Ok(groups.iter().flat_map(|group| &group.params).map(Tensor::shallow_clone).collect())
    }

    /// Whether the step at hand is one whose metrics are recorded, as far as can be told before it is done.
    fn will_log(&self) -> bool {
        let every = self.trainer.config.log_every_n_steps;
        every > 0 && (self.state.global_step + 1).is_multiple_of(every)
    }

    /// Records the loss, and what the model logged, of a step that is due for it.
    pub(super) fn log_step(&mut self, loss: Option<&Tensor>) -> Result<()> {
        let every = self.trainer.config.log_every_n_steps;
        self.state.logs_this_step =
            every > 0 && self.state.stepped && self.state.global_step.is_multiple_of(every);
        let mut values = std::mem::take(&mut self.logged_by_step);
        if !self.state.logs_this_step {
            return Ok(());
        }
        if let Some(loss) = loss {
            let value = loss.f_double_value(&[])?;
            self.look_at_loss(value);
            values.insert("train/loss_step".to_owned(), value);
        }
        self.record(Axis::Step, values)
    }
}

impl ManualOptimization for Session<'_> {
    fn manual_backward(&mut self, loss: &Tensor) -> Result<()> {
        self.callbacks(Hook::BeforeBackward, Seen::default())?;
        let scaled =
            self.trainer.scaler.as_ref().map_or(Ok(loss.shallow_clone()), |scaler| scaler.scale(loss))?;
        let clock = self.trainer.clock();
        let propagated = self.trainer.strategy.backward(&scaled);
        propagated.map_err(|error| self.backward_error(error.into()))?;
        self.trainer.profile(Action::Backward, clock);
        self.memory.read(Phase::Backward);
        self.callbacks(Hook::AfterBackward, Seen::default())
    }

    fn optimizer_step(&mut self, optimizer: &str) -> Result<()> {
        let params = self.trained(optimizer)?;
        self.unscale(&params)?;
        self.callbacks(Hook::BeforeOptimizerStep, Seen::default())?;
        self.state.stepped = true;
        let clock = self.trainer.clock();
        self.step(optimizer, |optimizer| optimizer.step())?;
        self.trainer.profile(Action::Optimizer, clock);
        Ok(())
    }

    fn zero_grad(&mut self, optimizer: &str) -> Result<()> {
        self.callbacks(Hook::BeforeZeroGrad, Seen::default())?;
        Ok(gradients::clear(&self.trained(optimizer)?)?)
    }

    fn clip_gradients(&mut self, optimizer: &str, clipping: GradientClipping) -> Result<()> {
        clipping.clip(&self.trained(optimizer)?)
    }

    fn lr_scheduler_step(&mut self, optimizer: &str) -> Result<()> {
        let epochs = self.state.epoch + 1;
        let slot = self.optimizers.get_mut(optimizer)?;
        if let Some(scheduler) = &mut slot.scheduler {
            let done = if scheduler.interval() == Interval::Step { slot.steps } else { epochs };
            scheduler.apply(done, slot.optimizer.param_groups_mut());
        }
        Ok(())
    }

    fn toggle_optimizer(&mut self, optimizer: &str) -> Result<()> {
        let own = self.trained(optimizer)?;
        for slot in self.optimizers.iter() {
            for param in slot.optimizer.param_groups().iter().flat_map(|group| &group.params) {
                let is_own = own.iter().any(|own| own.data_ptr() == param.data_ptr());
                let _ = param.set_requires_grad(is_own);
            }
        }
        Ok(())
    }

    fn untoggle_optimizer(&mut self, optimizer: &str) -> Result<()> {
        self.optimizers.get_mut(optimizer)?;
        for slot in self.optimizers.iter() {
            for param in slot.optimizer.param_groups().iter().flat_map(|group| &group.params) {
                let _ = param.set_requires_grad(true);
            }
        }
        Ok(())
    }
}

/// Says in which step it happened, unless the message speaks of something else already.
pub(super) fn in_step(stage: Stage, step: u64, error: Error) -> Error {
    match error {
        Error::Torch(message) => Error::Step { stage: stage.name(), step, message },
        other => other,
    }
}
