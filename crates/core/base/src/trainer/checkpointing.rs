//! What a checkpoint holds of a run, and how a run goes on from one.

use std::collections::{BTreeMap, HashMap};

use fulmen_contracts::event::Level;
use fulmen_strategies::GradientScaler;
use fulmen_torch::gradients;
use fulmen_torch::tch::Tensor;

use super::profile::Action;
use super::session::Session;
use crate::callback::CheckpointRequest;
use crate::checkpoint::{Checkpoint, Save, SavedState, Tensors};
use crate::metrics::Mean;
use crate::model::{Model, named};
use crate::{DataModule, Result};

/// Before the names of what steps log, among the states of metrics.
const LOGGED: &str = "logged/";

/// The folder of the checkpoint of a run that was asked to stop. There is one at most, replaced each time, and it goes as soon as
/// `last` has moved on: however often a run is stopped, no more than that is left.
const INTERRUPTED: &str = "interrupted";

impl Session<'_> {
    /// Saves the run as it stands: what is to be kept is copied now, and brought to the disk beside training.
    pub(super) fn save(
        &mut self,
        model: &mut dyn Model,
        data: &dyn DataModule,
        mut request: CheckpointRequest,
    ) -> Result<()> {
        if !self.trainer.config.enable_checkpointing {
            return Ok(());
        }
        let clock = self.trainer.clock();
        // What a checkpoint has seen is in the loggers' files before it is.
        self.trainer.save_loggers();
        request.replaces.push(INTERRUPTED.to_owned());
        let mut live = self.live_tensors(model)?;
        if request.weights_only {
            live = Tensors { model: live.model, ..Tensors::default() };
        }
        let state = self.saved_state(model, data)?;
        let (folder, events) = (self.trainer.checkpoint_folder(), self.trainer.events.clone());
        let keys = self.trainer.checkpoint_keys.clone();
        self.saver.save(&live, Save { folder, request, state, keys, events })?;
        self.trainer.profile(Action::Checkpoint, clock);
        Ok(())
    }

    /// Saves a run that was asked to stop, so that it goes on from here.
    pub(super) fn save_interrupted(&mut self, model: &mut dyn Model, data: &dyn DataModule) -> Result<()> {
        let request = CheckpointRequest {
            name: INTERRUPTED.to_owned(),
            aliases: vec!["last"],
            replaces: Vec::new(),
            weights_only: false,
            reason: "interrupted".to_owned(),
        };
        self.save(model, data, request)
    }

    /// Has memory for snapshots made ready beside training.
    pub(super) fn reserve_saving(&mut self, model: &dyn Model) -> Result<()> {
        if self.trainer.config.enable_checkpointing {
            let live = self.live_tensors(model)?;
            self.saver.reserve(live);
        }
        Ok(())
    }

    /// Waits for a save that is under way in a run that failed. That it failed too is told beside.
    pub(super) fn finish_saving(&mut self) {
        if let Err(error) = self.saver.finish() {
            self.trainer.events.log(Level::Error, format!("the last checkpoint could not be saved: {error}"));
        }
    }

    fn live_tensors(&self, model: &dyn Model) -> Result<Tensors> {
        let callbacks = self.trainer.callbacks.iter().flat_map(|(name, callback)| {
            let tensors = callback.state_tensors().into_iter();
            tensors.map(move |(tensor, value)| (format!("{name}/{tensor}"), value))
        });
        let mut weights = named(model.variables());
        for (_, callback) in &self.trainer.callbacks {
            callback.on_save_checkpoint(&mut weights);
        }
        Ok(Tensors {
            model: weights,
            optimizer: self.optimizers.state_dict(),
            // Gradients are only kept where a window is open: after a step they are spent.
            gradients: if self.state.window > 0 { self.open_gradients() } else { Vec::new() },
            metrics: self.counted(model)?,
            callbacks: callbacks.collect(),
        })
    }

    fn saved_state(&self, model: &mut dyn Model, data: &dyn DataModule) -> Result<SavedState> {
        let callbacks = self.trainer.callbacks.iter();
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        Ok(SavedState {
            trainer: self.state,
            callbacks: callbacks.map(|(name, callback)| (name.clone(), callback.state_dict())).collect(),
            schedules: self.optimizers.schedules(),
            scaler: self.trainer.scaler.as_ref().map(GradientScaler::state_dict),
            metrics: self.metrics.iter().map(|(name, value)| (name.clone(), finite(*value))).collect(),
            recorded: self.trainer.events.recorded(),
            model: model.on_save_checkpoint()?,
            data: data.state_dict(),
            environment: self.trainer.environment.clone(),
            config: self.trainer.run_config.clone(),
        })
    }

    /// What metrics and the means of what steps log have counted, the latter as `logged/<name>/<state>`.
    fn counted(&self, model: &dyn Model) -> Result<Vec<(String, Tensor)>> {
        let mut counted = model.metric_state()?;
        for (name, mean) in &self.logged {
            let states = mean.state_dict()?.into_iter();
            counted.extend(states.map(|(state, value)| (format!("{LOGGED}{name}/{state}"), value)));
        }
        Ok(counted)
    }

    /// Counts on from what [`Self::counted`] gave.
    fn count_on(&mut self, model: &mut dyn Model, counted: &HashMap<String, Tensor>) -> Result<()> {
        let mut logged: BTreeMap<&str, HashMap<String, Tensor>> = BTreeMap::new();
        for (key, value) in counted {
            if let Some((name, state)) = key.strip_prefix(LOGGED).and_then(|rest| rest.rsplit_once('/')) {
                logged.entry(name).or_default().insert(state.to_owned(), value.shallow_clone());
            }
        }
        for (name, states) in logged {
            let mut mean = Mean::default();
            mean.load_state_dict(&states)?;
            self.logged.push((name.to_owned(), mean));
        }
        model.load_metric_state(counted)
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
        self.trainer.events.cut_record(saved.recorded)?;
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
            callback.on_load_checkpoint(&self.variables)?;
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
        self.count_on(model, &checkpoint.metrics()?)?;
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
