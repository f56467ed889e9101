//! Saves a run that fails.

use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Result;
use crate::callback::{Callback, CallbackKind, CheckpointRequest, HookContext};
use crate::trainer::checkpoint_folder;

/// Saves a run that fails, as it stood before the batch that failed: it goes on from there, since `last` points to it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnExceptionCheckpointConfig {
    /// The name of the checkpoint below `checkpoints/`.
    #[serde(default = "default_filename")]
    pub filename: String,
}

fn default_filename() -> String {
    "on_exception".to_owned()
}

component! { CallbackKind, "on_exception_checkpoint", OnExceptionCheckpointConfig => |config, ()| {
    if config.filename.is_empty() || config.filename.contains('/') || config.filename.starts_with('.') {
        return Err(BuildError::setting("filename", "a name is not empty, has no slash and begins with no dot"));
    }
    Ok(Box::new(OnExceptionCheckpoint { filename: config.filename.clone(), failed: false }))
} }

/// Saves a run that fails.
#[derive(Debug)]
pub struct OnExceptionCheckpoint {
    filename: String,
    failed: bool,
}

impl Callback for OnExceptionCheckpoint {
    fn saves_on_exception(&self) -> bool {
        true
    }

    fn on_exception(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.failed = true;
        // Only training has something to go on from.
        if !context.optimizers.is_empty() {
            context.request_checkpoint(CheckpointRequest {
                name: self.filename.clone(),
                aliases: vec!["last"],
                replaces: Vec::new(),
                weights_only: false,
                reason: "the run failed".to_owned(),
            });
        }
        Ok(())
    }

    fn on_fit_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        // The run that failed before has been brought to its end: what was saved then is outdone.
        if !self.failed && checkpoint_folder(context.folder).join(&self.filename).exists() {
            context.remove_checkpoint(self.filename.clone());
        }
        Ok(())
    }
}
