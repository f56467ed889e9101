//! The kind `callback`: what is done beside training, at its hooks.

use std::fmt::Debug;
use std::path::Path;

use fulmen_contracts::Stage;
use fulmen_contracts::event::Values;
use fulmen_registry::Kind;
use serde_json::Value;

use crate::Result;
use crate::events::EventSink;
use crate::trainer::TrainerState;

/// Something done beside training. Hooks have Lightning's names and order.
pub trait Callback: Debug + Send {
    /// Training is about to begin, or to go on.
    ///
    /// # Errors
    /// When the callback cannot do its work: the run fails and names it.
    fn on_train_start(&mut self, context: &mut CallbackContext<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// An epoch begins.
    ///
    /// # Errors
    /// As [`Self::on_train_start`].
    fn on_train_epoch_start(&mut self, context: &mut CallbackContext<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// A training batch is done.
    ///
    /// # Errors
    /// As [`Self::on_train_start`].
    fn on_train_batch_end(&mut self, context: &mut CallbackContext<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// Validation is done; its metrics are in [`CallbackContext::metrics`].
    ///
    /// # Errors
    /// As [`Self::on_train_start`].
    fn on_validation_end(&mut self, context: &mut CallbackContext<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// An epoch is done, its validation included.
    ///
    /// # Errors
    /// As [`Self::on_train_start`].
    fn on_train_epoch_end(&mut self, context: &mut CallbackContext<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// Training is done.
    ///
    /// # Errors
    /// As [`Self::on_train_start`].
    fn on_train_end(&mut self, context: &mut CallbackContext<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

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
}

/// What a callback sees of the run, and what it may ask for.
#[derive(Debug)]
pub struct CallbackContext<'a> {
    /// How far training has come.
    pub state: &'a TrainerState,
    /// The latest metrics, as `stage/metric`.
    pub metrics: &'a Values,
    /// The learning rate of the step that was just done.
    pub learning_rate: f64,
    /// The run's own folder.
    pub folder: &'a Path,
    /// Where events go.
    pub events: &'a EventSink,
    /// What was asked for; carried out when the hook returns.
    pub(crate) requests: &'a mut Requests,
}

impl CallbackContext<'_> {
    /// Ends training after this epoch or batch.
    pub fn request_stop(&mut self, reason: impl Into<String>) {
        self.requests.stop.get_or_insert(reason.into());
    }

    /// Asks for a checkpoint, saved when all callbacks have had this hook, so that it holds the state of each.
    pub fn request_checkpoint(&mut self, request: CheckpointRequest) {
        self.requests.checkpoints.push(request);
    }

    /// Records values along the steps.
    pub fn log(&mut self, values: Values) {
        self.requests.log.extend(values);
    }
}

/// What callbacks asked for at a hook.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) stop: Option<String>,
    pub(crate) checkpoints: Vec<CheckpointRequest>,
    pub(crate) log: Values,
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
    pub(crate) struct Hook {
        pub(crate) state: TrainerState,
        pub(crate) requests: Requests,
        metrics: Values,
        events: EventSink,
        folder: PathBuf,
    }

    impl Hook {
        pub(crate) fn new<const N: usize>(metrics: [(&str, f64); N]) -> Self {
            Self {
                state: TrainerState::default(),
                requests: Requests::default(),
                metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
                events: EventSink::new(|_| {}),
                folder: PathBuf::new(),
            }
        }

        pub(crate) fn context(&mut self) -> CallbackContext<'_> {
            CallbackContext {
                state: &self.state,
                metrics: &self.metrics,
                learning_rate: 0.1,
                folder: &self.folder,
                events: &self.events,
                requests: &mut self.requests,
            }
        }
    }
}
