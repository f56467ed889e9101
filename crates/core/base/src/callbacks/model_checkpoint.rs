//! Keeps the best checkpoints and the last.

mod name;
#[cfg(test)]
mod tests;

use fulmen_contracts::Stage;
use fulmen_contracts::event::Level;
use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::name::NamePattern;
use super::monitor::{MonitorMode, watched};
use super::{load_kept, validates_once_an_epoch, yes};
use crate::Result;
use crate::callback::{Callback, CallbackKind, CheckpointRequest, HookContext};
use crate::trainer::{TimeLimit, checkpoint_folder};

/// Keeps the best checkpoints and the last, under Lightning's names. All lie in the run's folder `checkpoints/`, where
/// `best` points to the best and `last` to the last.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelCheckpointConfig {
    /// The name of a checkpoint: `{epoch}-{step}` and metrics, as in `{epoch:02d}-{val/loss:.3f}`. Left null: `{epoch}-{step}`.
    #[serde(default)]
    pub filename: Option<String>,
    /// Whether `{epoch}` stands for `epoch=3` rather than for `3`.
    #[serde(default = "yes")]
    pub auto_insert_metric_name: bool,
    /// The metric that says which is best: `val/loss`. Left null: the latest is.
    #[serde(default)]
    pub monitor: Option<String>,
    /// Which way is better.
    #[serde(default)]
    pub mode: MonitorMode,
    /// How many of the best are kept; -1 keeps all, 0 none.
    #[serde(default = "one")]
    #[schemars(range(min = -1))]
    pub save_top_k: i64,
    /// Whether the last is kept too: `true` also where it is none of the best, so that a run goes on from there; `link` lets `last`
    /// point to the last that is kept anyway.
    #[serde(default)]
    pub save_last: SaveLast,
    /// Whether the run is saved as it fails, as it stood before the batch that failed.
    #[serde(default)]
    pub save_on_exception: bool,
    /// Whether only weights are kept: a run cannot go on from such a checkpoint.
    #[serde(default)]
    pub save_weights_only: bool,
    /// Epochs between two looks. Of this and the next two, one may be set; where none is, it is 1.
    #[serde(default)]
    pub every_n_epochs: Option<u64>,
    /// Steps between two looks.
    #[serde(default)]
    pub every_n_train_steps: Option<u64>,
    /// Training time between two looks, as `DD:HH:MM:SS`.
    #[serde(default)]
    pub train_time_interval: Option<TimeLimit>,
    /// Whether to look at the end of a training epoch (true) or of a validation (false). Left null: of the epoch where there is
    /// one validation an epoch or none, else of the validation.
    #[serde(default)]
    pub save_on_train_epoch_end: Option<bool>,
    /// Whether a name that is taken gets `-v1`, `-v2` …; else the checkpoint of that name is replaced.
    #[serde(default = "yes")]
    pub enable_version_counter: bool,
    /// Whether it is told what was saved and why.
    #[serde(default)]
    pub verbose: bool,
}

/// Whether the last checkpoint is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "SaveLastWord")]
#[schemars(with = "SaveLastWord")]
pub enum SaveLast {
    /// It is not.
    No,
    /// Also where it is none of the best.
    #[default]
    Yes,
    /// `last` points to the last that is kept anyway.
    Link,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum SaveLastWord {
    Switch(bool),
    Link(LinkWord),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LinkWord {
    Link,
}

impl From<SaveLastWord> for SaveLast {
    fn from(word: SaveLastWord) -> Self {
        match word {
            SaveLastWord::Switch(true) => Self::Yes,
            SaveLastWord::Switch(false) => Self::No,
            SaveLastWord::Link(LinkWord::Link) => Self::Link,
        }
    }
}

const fn one() -> i64 {
    1
}

component! { CallbackKind, "model_checkpoint", ModelCheckpointConfig => |config, ()| {
    Ok(Box::new(ModelCheckpoint::new(config.clone())?))
} }

/// Keeps the best checkpoints and the last.
#[derive(Debug)]
pub struct ModelCheckpoint {
    config: ModelCheckpointConfig,
    pattern: NamePattern,
    kept: Kept,
    /// A look was due before there was a metric to judge by: the next validation has one.
    deferred: bool,
}

/// What a checkpoint keeps of it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// Folder and value, best first; no value where it was not a number.
    best: Vec<(String, Option<f64>)>,
    last: Option<String>,
    /// Optimizer steps at the last save.
    saved_at_step: u64,
    /// Training time at the last look by the clock, in milliseconds.
    looked_at_ms: u64,
}

impl ModelCheckpoint {
    fn new(config: ModelCheckpointConfig) -> Result<Self, BuildError> {
        let set = [
            config.every_n_epochs.is_some_and(|every| every > 0),
            config.every_n_train_steps.is_some_and(|every| every > 0),
            config.train_time_interval.is_some(),
        ];
        if set.iter().filter(|&&set| set).count() > 1 {
            return Err(BuildError::setting(
                "every_n_epochs",
                "every_n_epochs, every_n_train_steps and train_time_interval shut each other out: set one, the others null",
            ));
        }
        if config.monitor.is_none() && !(-1..=1).contains(&config.save_top_k) {
            return Err(BuildError::setting(
                "save_top_k",
                format!(
                    "{} of the best need a metric to judge by: set monitor, or save_top_k to -1, 0 or 1",
                    config.save_top_k
                ),
            ));
        }
        let pattern = config.filename.as_deref().unwrap_or("{epoch}-{step}");
        let pattern = NamePattern::parse(pattern, config.auto_insert_metric_name)
            .map_err(|message| BuildError::setting("filename", message))?;
        Ok(Self { config, pattern, kept: Kept::default(), deferred: false })
    }

    /// Epochs between two looks; none where steps or time are counted.
    fn every_n_epochs(&self) -> Option<u64> {
        let by_other = self.config.every_n_train_steps.is_some() || self.config.train_time_interval.is_some();
        match self.config.every_n_epochs {
            Some(every) => Some(every).filter(|&every| every > 0),
            None => (!by_other).then_some(1),
        }
    }

    fn looks_at_epoch_end(&self, context: &HookContext<'_>) -> bool {
        let config = context.config;
        self.config.save_on_train_epoch_end.unwrap_or_else(|| {
            validates_once_an_epoch(config)
                || config.limit_val_batches.is_zero()
                || !context.state.ever_validated
        })
    }

    /// Whether nothing is to be saved at this point of the run.
    fn passes(&self, context: &HookContext<'_>) -> bool {
        !context.config.enable_checkpointing
            || context.config.fast_dev_run.batches().is_some()
            || context.stage == Stage::SanityCheck
            || context.state.total_batches == 0
            || self.kept.saved_at_step == context.state.global_step
    }

    /// A name that no other checkpoint has, unless that is one of `replaced`.
    fn name(&self, context: &HookContext<'_>, replaced: &[String]) -> String {
        let name = self.pattern.name(context.state, context.metrics);
        let folder = checkpoint_folder(context.folder);
        let taken = |name: &String| !replaced.contains(name) && folder.join(name).exists();
        if !self.config.enable_version_counter || !taken(&name) {
            return name;
        }
        (1..).map(|version| format!("{name}-v{version}")).find(|name| !taken(name)).unwrap_or(name)
    }

    /// Whether `monitor` is of a validation, and there has been none.
    fn waits_for_validation(monitor: &str, context: &HookContext<'_>) -> bool {
        monitor.starts_with("val/") && !context.state.ever_validated && !context.metrics.contains_key(monitor)
    }

    /// Saves what is to be kept now. `measured` says that there has been a validation by now, so that a metric that is
    /// not there is a mistake rather than a matter of time.
    fn look(&mut self, context: &mut HookContext<'_>, measured: bool) -> Result<()> {
        let ModelCheckpointConfig { monitor, mode, save_top_k, save_last, .. } = &self.config;
        let most = usize::try_from(*save_top_k).unwrap_or(usize::MAX);
        let mut best = self.kept.best.clone();
        let mut place = None;
        let mut reason = "last".to_owned();
        match monitor {
            Some(monitor)
                if Self::waits_for_validation(monitor, context)
                    || !measured && !context.metrics.contains_key(monitor) =>
            {
                self.deferred = true;
            }
            Some(monitor) if most > 0 => {
                let value = watched(monitor, context.metrics, "model_checkpoint")?;
                let score = |value: Option<f64>| value.unwrap_or(mode.worst());
                let kept = Some(value).filter(|value| !value.is_nan());
                let found =
                    best.iter().position(|(_, other)| mode.is_better(score(kept), score(*other), 0.0));
                place = Some(found.unwrap_or(best.len())).filter(|&place| place < most);
                if let Some(place) = place {
                    best.insert(place, (String::new(), kept));
                    reason = format!("{}{monitor} {value:.4}", if place == 0 { "best " } else { "" });
                } else if self.config.verbose {
                    context
                        .events
                        .log(Level::Info, format!("{monitor} {value:.4} is not among the best {most}"));
                }
            }
            None if most > 0 => {
                best.insert(0, (String::new(), None));
                place = Some(0);
            }
            _ => {}
        }
        if place.is_none() && *save_last != SaveLast::Yes {
            return Ok(());
        }
        let mut outdone: Vec<String> = best.drain(most.min(best.len())..).map(|(name, _)| name).collect();
        if *save_last == SaveLast::Yes {
            outdone.extend(self.kept.last.clone().filter(|last| !outdone.contains(last)));
        }
        outdone.retain(|old| !best.iter().any(|(kept, _)| kept == old));
        let name = self.name(context, &outdone);
        outdone.retain(|old| *old != name);
        if let Some(place) = place {
            best[place].0.clone_from(&name);
        }
        let mut aliases = Vec::new();
        if place == Some(0) {
            aliases.push("best");
        }
        if *save_last != SaveLast::No {
            aliases.push("last");
        }
        self.kept.best = best;
        self.kept.last = (*save_last != SaveLast::No).then(|| name.clone());
        self.save(
            context,
            CheckpointRequest { name, aliases, replaces: outdone, weights_only: false, reason },
        );
        Ok(())
    }

    fn save(&mut self, context: &mut HookContext<'_>, request: CheckpointRequest) {
        self.kept.saved_at_step = context.state.global_step;
        if self.config.verbose {
            context.events.log(Level::Info, format!("checkpoint {}: {}", request.name, request.reason));
        }
        let weights_only = self.config.save_weights_only;
        context.request_checkpoint(CheckpointRequest { weights_only, ..request });
    }

    /// What is current, as the last and nothing else.
    fn save_last(&mut self, context: &mut HookContext<'_>, reason: &str) {
        let name = self.name(context, &[]);
        self.kept.last = Some(name.clone());
        let (aliases, replaces, reason) = (vec!["last"], Vec::new(), reason.to_owned());
        self.save(context, CheckpointRequest { name, aliases, replaces, weights_only: false, reason });
    }

    /// Whether the batch that was just done is one to look after.
    fn is_due(&mut self, context: &HookContext<'_>) -> bool {
        let state = context.state;
        let by_steps = self
            .config
            .every_n_train_steps
            .is_some_and(|every| every > 0 && state.stepped && state.global_step.is_multiple_of(every));
        let by_time = self.config.train_time_interval.is_some_and(|interval| {
            u128::from(state.elapsed_ms.saturating_sub(self.kept.looked_at_ms)) >= interval.0.as_millis()
        });
        if by_time {
            self.kept.looked_at_ms = state.elapsed_ms;
        }
        by_steps || by_time
    }

    /// Whether this epoch is one to look after.
    fn epoch_is_due(&self, context: &HookContext<'_>) -> bool {
        self.every_n_epochs().is_some_and(|every| (context.state.epoch + 1).is_multiple_of(every))
    }

    /// Whether a validation follows at once, so that the metric that is there is not that of the weights at hand.
    fn validation_follows(context: &HookContext<'_>) -> bool {
        let config = context.config;
        context.state.batch == context.batches
            && !config.limit_val_batches.is_zero()
            && context.state.ever_validated
            && config
                .check_val_every_n_epoch
                .is_none_or(|every| (context.state.epoch + 1).is_multiple_of(every.max(1)))
    }
}

impl Callback for ModelCheckpoint {
    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if !self.is_due(context) || self.passes(context) {
            return Ok(());
        }
        if self.config.monitor.is_some()
            && Self::validation_follows(context)
            && !self.looks_at_epoch_end(context)
        {
            self.deferred = true;
            return Ok(());
        }
        self.look(context, false)
    }

    fn on_validation_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if context.stage != Stage::Validate || context.state.total_batches == 0 {
            return Ok(());
        }
        // Saved at this step already, perhaps, as the last: now there is a metric to judge by.
        if std::mem::take(&mut self.deferred) {
            return self.look(context, true);
        }
        if self.epoch_is_due(context) && !self.looks_at_epoch_end(context) && !self.passes(context) {
            return self.look(context, true);
        }
        Ok(())
    }

    fn on_train_epoch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.epoch_is_due(context) && self.looks_at_epoch_end(context) && !self.passes(context) {
            return self.look(context, true);
        }
        Ok(())
    }

    fn on_train_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.config.save_last == SaveLast::Yes && self.kept.last.is_none() && !self.passes(context) {
            self.save_last(context, "last");
        }
        if let Some(monitor) = &self.config.monitor
            && Self::waits_for_validation(monitor, context)
            && context.config.enable_checkpointing
        {
            context.events.log(
                Level::Warning,
                format!(
                    "no validation has measured '{monitor}': there is no checkpoint 'best'; set callbacks.model_checkpoint.monitor to a metric of training, or to null for the latest"
                ),
            );
        }
        Ok(())
    }

    fn on_exception(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.config.save_on_exception && !self.passes(context) {
            self.save_last(context, "the run failed");
        }
        Ok(())
    }

    fn saves_on_exception(&self) -> bool {
        self.config.save_on_exception
    }

    fn state_dict(&self) -> Value {
        json!(self.kept)
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.kept = load_kept("model_checkpoint", state)?;
        Ok(())
    }
}
