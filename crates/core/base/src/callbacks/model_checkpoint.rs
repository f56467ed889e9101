//! Keeps the best checkpoints and the last.

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::monitor::{MonitorMode, watched};
use crate::callback::{Callback, CallbackKind, CheckpointRequest, HookContext};
use crate::{Error, Result};

/// Keeps the best checkpoints and the last, under Lightning's names.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelCheckpointConfig {
    /// The metric that says which is best: `val/loss`. Left out: the last is kept.
    #[serde(default)]
    pub monitor: Option<String>,
    /// Which way is better.
    #[serde(default)]
    pub mode: MonitorMode,
    /// How many of the best are kept; -1 keeps all.
    #[serde(default = "one")]
    #[schemars(range(min = -1))]
    pub save_top_k: i64,
    /// Whether the last is kept too, under the name `last`.
    #[serde(default = "yes")]
    pub save_last: bool,
    /// Epochs between two looks.
    #[serde(default = "every")]
    #[schemars(range(min = 1))]
    pub every_n_epochs: u64,
    /// Steps between two checkpoints, instead of epochs.
    #[serde(default)]
    #[schemars(extend("minimum" = 1))]
    pub every_n_train_steps: Option<u64>,
}

const fn one() -> i64 {
    1
}

const fn yes() -> bool {
    true
}

const fn every() -> u64 {
    1
}

component! { CallbackKind, "model_checkpoint", ModelCheckpointConfig => |config, ()| {
    Ok(Box::new(ModelCheckpoint { config: config.clone(), kept: Kept::default() }))
} }

/// Keeps the best checkpoints and the last.
#[derive(Debug)]
pub struct ModelCheckpoint {
    config: ModelCheckpointConfig,
    kept: Kept,
}

/// What a checkpoint keeps of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// Folder and value, best first.
    best: Vec<(String, f64)>,
    last: Option<String>,
}

impl ModelCheckpoint {
    /// Saves what is to be kept now. `measured` says that there has been a validation by now, so that a metric that is
    /// not there is a mistake rather than a matter of time.
    fn look(&mut self, context: &mut HookContext<'_>, measured: bool) -> Result<()> {
        let name = format!("epoch={}-step={}", context.state.epoch, context.state.global_step);
        if self.kept.last.as_deref() == Some(name.as_str()) {
            return Ok(());
        }
        let ModelCheckpointConfig { monitor, mode, save_top_k, save_last, .. } = &self.config;
        let wanted = usize::try_from(*save_top_k).unwrap_or(usize::MAX);
        let mut reason = "last".to_owned();
        let mut aliases = Vec::new();
        match monitor {
            Some(monitor) if !measured && !context.metrics.contains_key(monitor) => {}
            Some(monitor) if wanted > 0 => {
                let value = watched(monitor, context.metrics, "model_checkpoint")?;
                let place = self.kept.best.iter().position(|(_, kept)| mode.is_better(value, *kept, 0.0));
                let place = place.unwrap_or(self.kept.best.len());
                if place < wanted {
                    self.kept.best.insert(place, (name.clone(), value));
                    reason = format!("{monitor} {value:.4}");
                    if place == 0 {
                        aliases.push("best");
                        reason.insert_str(0, "best ");
                    }
                }
            }
            _ => aliases.push("best"),
        }
        if *save_last {
            aliases.push("last");
        }
        let among_best = self.kept.best.iter().any(|(kept, _)| *kept == name);
        if !among_best && aliases.is_empty() {
            return Ok(());
        }
        let outdone: Vec<_> =
            self.kept.best.drain(wanted.min(self.kept.best.len())..).map(|(name, _)| name).collect();
        let before = self.kept.last.replace(name.clone());
        let replaces = outdone
            .into_iter()
            .chain(before)
            .filter(|old| *old != name && !self.kept.best.iter().any(|(kept, _)| kept == old))
            .collect();
        context.request_checkpoint(CheckpointRequest { name, aliases, replaces, reason });
        Ok(())
    }
}

impl Callback for ModelCheckpoint {
    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        match self.config.every_n_train_steps {
            Some(every)
                if context.state.stepped && context.state.global_step.is_multiple_of(every.max(1)) =>
            {
                self.look(context, false)
            }
            _ => Ok(()),
        }
    }

    fn on_train_epoch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let done = context.state.epoch + 1;
        if self.config.every_n_train_steps.is_some()
            || !done.is_multiple_of(self.config.every_n_epochs.max(1))
        {
            return Ok(());
        }
        self.look(context, true)
    }

    fn state_dict(&self) -> Value {
        json!(self.kept)
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.kept = serde_json::from_value(state.clone()).map_err(|error| {
            Error::config("callbacks.model_checkpoint", format!("its saved state cannot be read: {error}"))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::tests::CallbackHook;

    fn checkpoint(save_top_k: i64) -> ModelCheckpoint {
        let config = ModelCheckpointConfig {
            monitor: Some("val/loss".into()),
            mode: MonitorMode::Min,
            save_top_k,
            save_last: true,
            every_n_epochs: 1,
            every_n_train_steps: None,
        };
        ModelCheckpoint { config, kept: Kept::default() }
    }

    fn epoch(callback: &mut ModelCheckpoint, epoch: u64, loss: f64) -> Vec<CheckpointRequest> {
        let mut hook = CallbackHook::new([("val/loss", loss)]);
        hook.state.epoch = epoch;
        hook.state.global_step = epoch + 1;
        callback.on_train_epoch_end(&mut hook.context()).unwrap();
        hook.requests.checkpoints
    }

    #[test]
    fn the_best_and_the_last_are_kept_and_nothing_else() {
        let mut callback = checkpoint(1);
        let first = &epoch(&mut callback, 0, 1.0)[0];
        assert_eq!((first.aliases.as_slice(), first.replaces.len()), (["best", "last"].as_slice(), 0));
        // Worse: it is the last, and the best stays.
        let second = &epoch(&mut callback, 1, 2.0)[0];
        assert_eq!((second.aliases.as_slice(), second.replaces.len()), (["last"].as_slice(), 0));
        // Best of all: both older ones go.
        let third = &epoch(&mut callback, 2, 0.5)[0];
        assert_eq!(third.replaces, ["epoch=0-step=1", "epoch=1-step=2"]);
        assert_eq!(third.reason, "best val/loss 0.5000");
    }

    #[test]
    fn before_the_first_validation_only_the_last_is_kept() {
        let mut callback = checkpoint(1);
        callback.config.every_n_train_steps = Some(2);
        let mut hook = CallbackHook::new([]);
        (hook.state.global_step, hook.state.stepped) = (2, true);
        callback.on_train_batch_end(&mut hook.context()).unwrap();
        assert_eq!(hook.requests.checkpoints[0].aliases, ["last"]);
    }

    #[test]
    fn top_two_keep_their_order() {
        let mut callback = checkpoint(2);
        for (number, loss) in [3.0, 1.0, 2.0, 4.0].into_iter().enumerate() {
            epoch(&mut callback, number as u64, loss);
        }
        let names: Vec<_> = callback.kept.best.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["epoch=1-step=2", "epoch=2-step=3"]);
    }
}
