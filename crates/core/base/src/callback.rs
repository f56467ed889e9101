//! The kind `callback`: what is done beside training, at its hooks.

use std::fmt::Debug;
use std::path::Path;

use fulmen_contracts::Stage;
use fulmen_contracts::event::Values;
use fulmen_registry::Kind;
use fulmen_torch::tch::Tensor;
use serde_json::Value;

use crate::events::EventSink;
use crate::hooks::{hook_methods, with_hooks};
use crate::step::StepOutput;
use crate::trainer::{Optimizers, TrainerConfig, TrainerState};
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

    /// Makes so many batches one step from the next window on.
    pub const fn set_accumulate_grad_batches(&mut self, batches: u64) {
        self.requests.accumulate_grad_batches = Some(batches);
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
    pub(crate) accumulate_grad_batches: Option<u64>,
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
                batch_index: self.state.batch,
                batches: self.batches,
                batch: None,
                outputs: self.outputs.as_ref(),
                predictions: &[],
                error: None,
                learning_rate: 0.1,
                folder: &self.folder,
                events: &self.events,
                requests: &mut self.requests,
            }
        }
    }
}
