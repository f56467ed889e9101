//! What a checkpoint holds of a run, and how a run goes on from one.

use std::fs;

use fulmen_contracts::Event;
use fulmen_contracts::event::Level;
use fulmen_torch::gradients;
use fulmen_torch::tch::Tensor;

use super::profile::Action;
use super::session::Session;
use crate::callback::CheckpointRequest;
use crate::checkpoint::{self, Checkpoint, SavedState, Tensors};
use crate::metrics::Mean;
use crate::model::{Model, named};
use crate::{DataModule, Result};

impl Session<'_> {
    /// Saves the run as it stands.
    pub(super) fn save(
        &mut self,
        model: &mut dyn Model,
        data: &dyn DataModule,
        request: &CheckpointRequest,
    ) -> Result<()> {
        if !self.trainer.config.enable_checkpointing {
            return Ok(());
        }
        let clock = self.trainer.clock();
        // What a checkpoint has seen is in the loggers' files before it is.
        self.trainer.save_loggers();
        let folder = self.trainer.checkpoint_folder();
        let tensors = Tensors {
            model: named(model.variables()),
            optimizer: self.optimizers.state_dict(),
            // Gradients are only kept where a window is open: after a step they are spent.
            gradients: if self.state.window > 0 { self.open_gradients() } else { Vec::new() },
            metrics: model.metric_state(),
            callbacks: self
                .trainer
                .callbacks
                .iter()
                .flat_map(|(name, callback)| {
                    let tensors = callback.state_tensors().into_iter();
                    tensors.map(move |(tensor, value)| (format!("{name}/{tensor}"), value))
                })
                .collect(),
        };
        let state = SavedState {
            trainer: self.state,
            callbacks: self
                .trainer
                .callbacks
                .iter()
                .map(|(name, callback)| (name.clone(), callback.state_dict()))
                .collect(),
            schedules: self.optimizers.schedules(),
            scaler: self.trainer.scaler.as_ref().map(|scaler| scaler.state_dict()).transpose()?,
            logged: self
                .logged
                .iter()
                .filter_map(|(name, mean)| {
                    let (sum, weight) = mean.parts()?;
                    Some((name.clone(), sum, weight))
                })
                .collect(),
            metrics: self
                .metrics
                .iter()
                .map(|(name, value)| (name.clone(), Some(*value).filter(|value| value.is_finite())))
                .collect(),
            model: model.on_save_checkpoint()?,
            data: data.state_dict(),
            environment: self.trainer.environment.clone(),
            config: self.trainer.run_config.clone(),
        };
        checkpoint::save(&folder.join(&request.name), &tensors, &state)?;
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
        self.trainer.profile(Action::Checkpoint, clock);
        Ok(())
    }

    fn open_gradients(&self) -> Vec<(String, Tensor)> {
        let with_gradient = self.variables.iter().filter(|(_, tensor)| tensor.requires_grad());
        with_gradient
            .map(|(name, tensor)| (name.clone(), tensor.grad()))
            .filter(|(_, gradient)| gradient.defined())
            .collect()
    }

    /// Weights, metrics, callbacks and data as the checkpoint kept them; what needs the optimizers is [`Self::go_on`]'s.
    pub(super) fn restore(
        &mut self,
        model: &mut dyn Model,
        data: &mut dyn DataModule,
        checkpoint: &Checkpoint,
    ) -> Result<SavedState> {
        let saved = checkpoint.state()?;
        model.on_load_checkpoint(&saved.model)?;
        self.trainer.load_weights(model, checkpoint)?;
        data.load_state_dict(&saved.data)?;
        let mut tensors: Vec<_> = checkpoint.callbacks()?.into_iter().collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, callback) in &mut self.trainer.callbacks {
            if let Some(state) = saved.callbacks.get(name).filter(|state| !state.is_null()) {
                callback.load_state_dict(state)?;
            }
            let prefix = format!("{name}/");
            let own: Vec<_> = tensors
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.strip_prefix(&prefix)?.to_owned(), value.shallow_clone()))
                })
                .collect();
            if !own.is_empty() {
                callback.load_state_tensors(own)?;
            }
        }
        self.compare_environment(&saved);
        Ok(saved)
    }

    /// Optimizers, schedules, open gradients and loops as the checkpoint kept them.
    pub(super) fn go_on(
        &mut self,
        model: &mut dyn Model,
        checkpoint: &Checkpoint,
        saved: SavedState,
    ) -> Result<()> {
        self.optimizers.load(&checkpoint.optimizer()?, &saved.schedules)?;
        if let (Some(scaler), Some(state)) = (&mut self.trainer.scaler, &saved.scaler) {
            scaler.load_state_dict(state)?;
        }
        let open = checkpoint.gradients()?;
        for (name, tensor) in &self.variables {
            if let Some(gradient) = open.get(name) {
                gradients::set(tensor, gradient)?;
            }
        }
        model.load_metric_state(&checkpoint.metrics()?)?;
        self.logged =
            saved.logged.into_iter().map(|(name, sum, weight)| (name, Mean::of_parts(sum, weight))).collect();
        self.metrics =
            saved.metrics.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect();
        self.state = saved.trainer;
        self.state.stepped = self.state.window == 0;
        Ok(())
    }

    /// Says what bit-equality depends on and what is not as it was.
    fn compare_environment(&self, saved: &SavedState) {
        for (name, before) in &saved.environment {
            let now = self.trainer.environment.get(name).map_or("nothing", String::as_str);
            if now != before {
                let message = format!(
                    "{name} is {now} and was {before} when the checkpoint was saved: the run goes on, but not bit for bit as it would have"
                );
                self.trainer.events.log(Level::Warning, message);
            }
        }
    }
}
