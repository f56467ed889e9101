//! The kind `callback`: what is done beside training, at its hooks.

use std::fmt::Debug;
use std::path::Path;

use fulmen_contracts::Stage;
use fulmen_contracts::event::Values;
use fulmen_registry::Kind;
use fulmen_torch::tch::{Device, Tensor};
use serde_json::Value;

use crate::events::EventSink;
use crate::hooks::{hook_methods, with_hooks};
use crate::step::StepOutput;
use crate::trainer::{LearningRateCurve, Optimizers, TrainerConfig, TrainerState, Tuning};
use crate::{Batch, Error, Result};

/// Something done beside training. Hooks have Lightning's names and order; each does nothing unless it is written.
///
/// Callbacks have their hooks in the order of their names in the config; the model's own hook follows theirs.
pub trait Callback: Debug + Send {
    with_hooks! { hook_methods }

    /// Batches of a stage have been done, `rate` a second; called some ten times a second.
    fn on_progress(&mut self, progress: &StageProgress<'_>, events: &EventSink) {
        let _ = (progress, events);
    }

    /// Batches that make a step in `epoch`, where this callback decides it; it answers for every epoch or for none, so that
    /// schedules know the run's steps beforehand.
    fn accumulate_grad_batches(&self, epoch: u64) -> Option<u64> {
        let _ = epoch;
        None
    }

    /// Whether it saves a checkpoint at [`Self::on_exception`]. A batch that fails is then undone first, so that the
    /// checkpoint holds the run as it stood before that batch.
    fn saves_on_exception(&self) -> bool {
        false
    }

    /// A search for a learning rate that it asked for is done.
    ///
    /// # Errors
    /// When the curve cannot be written down.
    fn on_learning_rate_found(
        &mut self,
        curve: &LearningRateCurve,
        context: &mut HookContext<'_>,
    ) -> Result<()> {
        let _ = (curve, context);
        Ok(())
    }

    /// A checkpoint is about to be saved with these weights of the model, by name: the place to put others in their stead,
    /// such as averaged ones. Those that training goes on from then belong to [`Self::state_tensors`].
    fn on_save_checkpoint(&self, model: &mut Vec<(String, Tensor)>) {
        let _ = model;
    }

    /// A run goes on: the weights of the checkpoint are in the model's `variables`, and the callback's own state is loaded.
    ///
    /// # Errors
    /// When the two do not fit.
    fn on_load_checkpoint(&mut self, variables: &[(String, Tensor)]) -> Result<()> {
        let _ = variables;
        Ok(())
    }

    /// What a checkpoint keeps of it.
    fn state_dict(&self) -> Value {
        Value::Null
    }

    /// Goes on from what a checkpoint kept.
    ///
    /// # Errors
    /// When it was kept by another version or with other settings.
    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// Tensors that a checkpoint keeps of it, by name, such as averaged weights.
    fn state_tensors(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }

    /// Goes on from the tensors that a checkpoint kept; called after [`Self::load_state_dict`].
    ///
    /// # Errors
    /// When they were kept for another model.
    fn load_state_tensors(&mut self, tensors: Vec<(String, Tensor)>) -> Result<()> {
        let _ = tensors;
        Ok(())
    }
}

/// What a hook sees of the run, and what it may ask for.
#[derive(Debug)]
pub struct HookContext<'a> {
    /// The part of the run's life that it is called in.
    pub stage: Stage,
    /// How far training has come.
    pub state: &'a TrainerState,
    /// The trainer's arguments.
    pub config: &'a TrainerConfig,
    /// The latest metrics, as `stage/metric`.
    pub metrics: &'a Values,
    /// Parameters and buffers by their `state_dict` names, in order. They share the model's memory: what is written to
    /// them is written to the model.
    pub variables: &'a [(String, Tensor)],
    /// What moves the parameters; none outside training.
    pub optimizers: &'a mut Optimizers,
    /// The batch within its pass, from 0, where there is one at hand.
    pub batch_index: u64,
    /// Batches of the pass at hand.
    pub batches: u64,
    /// The batch at hand, where the model is.
    pub batch: Option<&'a Batch>,
    /// What the step gave, once there is something.
    pub outputs: Option<&'a StepOutput>,
    /// What was predicted, one record a sample, at [`Callback::on_predict_batch_end`].
    pub predictions: &'a [Value],
    /// What failed, at [`Callback::on_exception`].
    pub error: Option<&'a Error>,
    /// The learning rate of the step that was just done: the first optimizer's first group.
    pub learning_rate: f64,
    /// The run's own folder.
    pub folder: &'a Path,
    /// Where the model is.
    pub device: Device,
    /// Where events go.
    pub events: &'a EventSink,
    /// What was asked for; carried out when the hook returns.
    pub(crate) requests: &'a mut Requests,
}

impl HookContext<'_> {
    /// Ends training at the next step, or once `min_epochs` and `min_steps` are met.
    pub fn request_stop(&mut self, reason: impl Into<String>) {
        self.requests.stop.get_or_insert(reason.into());
    }

    /// Asks for a checkpoint, saved when all callbacks and the model have had this hook, so that it holds the state of each.
    pub fn request_checkpoint(&mut self, request: CheckpointRequest) {
        self.requests.checkpoints.push(request);
    }

    /// Records values along the steps.
    pub fn log(&mut self, values: Values) {
        self.requests.log.extend(values);
    }

    /// Passes over the rest of the epoch; at `on_train_batch_start`, as a `-1` that Lightning's users return there.
    pub const fn skip_epoch(&mut self) {
        self.requests.skip_epoch = true;
    }

    /// Leaves the optimizer's step out and drops the gradients; at `on_before_optimizer_step`.
    pub const fn skip_step(&mut self) {
        self.requests.skip_step = true;
    }

    /// Searches for a learning rate or a batch size before training begins; at `on_fit_start`.
    pub fn request_tuning(&mut self, tuning: Tuning) {
        self.requests.tuning.push(tuning);
    }

    /// Tells what the model is made of, `max_depth` parts of a name deep; at `on_fit_start`.
    pub const fn request_model_summary(&mut self, max_depth: i64) {
        self.requests.model_summary = Some(max_depth);
    }

    /// Counts the statistics of all batch norms anew over the training data, with the weights as they are; at `on_train_end`.
    pub const fn request_batch_norm_update(&mut self) {
        self.requests.update_batch_norm = true;
    }

    /// Has schedules set the rates of all groups again, after their `initial_lr` or the schedule itself was changed.
    pub const fn reschedule(&mut self) {
        self.requests.reschedule = true;
    }

    /// Removes a checkpoint, and the names `last` and `best` where they point to it.
    pub fn remove_checkpoint(&mut self, name: impl Into<String>) {
        self.requests.remove_checkpoints.push(name.into());
    }
}

/// What callbacks asked for at a hook.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) stop: Option<String>,
    pub(crate) checkpoints: Vec<CheckpointRequest>,
    pub(crate) log: Values,
    pub(crate) skip_epoch: bool,
    pub(crate) skip_step: bool,
    pub(crate) tuning: Vec<Tuning>,
    pub(crate) model_summary: Option<i64>,
    pub(crate) update_batch_norm: bool,
    pub(crate) reschedule: bool,
    pub(crate) remove_checkpoints: Vec<String>,
}

/// A checkpoint that a callback asks for.
#[derive(Debug, Clone)]
pub struct CheckpointRequest {
    /// The folder's name below `checkpoints/`.
    pub name: String,
    /// Names that shall point to it: `last`, `best`.
    pub aliases: Vec<&'static str>,
    /// Folders below `checkpoints/` that are not wanted any more once it is there.
    pub replaces: Vec<String>,
    /// Whether only the weights are kept: such a checkpoint cannot be resumed from.
    pub weights_only: bool,
    /// Why, for people.
    pub reason: String,
}

/// How far a stage has come.
#[derive(Debug, Clone, Copy)]
pub struct StageProgress<'a> {
    /// Which.
    pub stage: Stage,
    /// The epoch, from 0.
    pub epoch: u64,
    /// Batches done.
    pub batch: u64,
    /// Batches of this stage.
    pub batches: u64,
    /// Batches a second.
    pub rate: f64,
    /// Latest values, without the stage's prefix.
    pub values: &'a Values,
}

/// The kind `callback`.
#[derive(Debug)]
pub struct CallbackKind;

impl Kind for CallbackKind {
    const NAME: &'static str = "callback";
    type Product = Box<dyn Callback>;
    type Context<'context> = ();
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use super::*;

    /// One optimizer over one parameter.
    pub(crate) fn sgd(lr: f64, momentum: f64) -> Optimizers {
        let settings = serde_json::json!({"_target_": "sgd", "lr": lr, "momentum": momentum});
        let param = Tensor::ones([2], (fulmen_torch::tch::Kind::Float, Device::Cpu)).set_requires_grad(true);
        let component = fulmen_registry::Component::<crate::OptimizerKind>::new(settings);
        let registry = fulmen_registry::registry().unwrap();
        Optimizers::one(component.build(registry, &[("w".to_owned(), param)]).unwrap(), None)
    }

    /// Everything that a hook is called with.
    pub(crate) struct CallbackHook {
        pub(crate) stage: Stage,
        pub(crate) state: TrainerState,
        pub(crate) requests: Requests,
        pub(crate) config: TrainerConfig,
        pub(crate) variables: Vec<(String, Tensor)>,
        pub(crate) optimizers: Optimizers,
        pub(crate) outputs: Option<StepOutput>,
        pub(crate) metrics: Values,
        pub(crate) batches: u64,
        pub(crate) folder: PathBuf,
        pub(crate) batch: Option<Batch>,
        pub(crate) predictions: Vec<Value>,
        pub(crate) batch_index: Option<u64>,
        events: EventSink,
    }

    impl CallbackHook {
        pub(crate) fn new<const N: usize>(metrics: [(&str, f64); N]) -> Self {
            Self {
                stage: Stage::Train,
                state: TrainerState::default(),
                requests: Requests::default(),
                config: TrainerConfig::default(),
                variables: Vec::new(),
                optimizers: Optimizers::default(),
                outputs: None,
                metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
                batches: 0,
                folder: PathBuf::new(),
                batch: None,
                predictions: Vec::new(),
                batch_index: None,
                events: EventSink::new(|_| {}),
            }
        }

        pub(crate) fn context(&mut self) -> HookContext<'_> {
            HookContext {
                stage: self.stage,
                state: &self.state,
                config: &self.config,
                metrics: &self.metrics,
                variables: &self.variables,
                optimizers: &mut self.optimizers,
                batch_index: self.batch_index.unwrap_or(self.state.batch),
                batches: self.batches,
                batch: self.batch.as_ref(),
                outputs: self.outputs.as_ref(),
                predictions: &self.predictions,
                error: None,
                learning_rate: 0.1,
                folder: &self.folder,
                device: Device::Cpu,
                events: &self.events,
                requests: &mut self.requests,
            }
        }
    }
}
