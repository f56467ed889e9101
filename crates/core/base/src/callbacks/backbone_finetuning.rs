//! A pretrained part of the model is left alone at first and trained from some epoch on, more slowly than the rest.

use fulmen_contracts::event::Level;
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{load_kept, yes};
use crate::callback::{Callback, CallbackKind, HookContext};
use crate::trainer::Optimizers;
use crate::{Error, ParamGroup, Result};

/// Trains the rest of a model alone at first, and a pretrained part, its backbone, from some epoch on at a learning rate of its own
/// that grows towards the rest's. The backbone needs a parameter group of its own in the optimizer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackboneFinetuningConfig {
    /// What the names of the backbone's parameters begin with.
    #[serde(default = "default_backbone")]
    pub backbone: Vec<String>,
    /// The epoch, from 0, from which the backbone is trained.
    #[serde(default = "ten")]
    pub unfreeze_backbone_at_epoch: u64,
    /// By what the backbone's learning rate is multiplied each epoch.
    #[serde(default = "two")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub multiplier: f64,
    /// The backbone's first learning rate as a share of the rest's.
    #[serde(default = "tenth")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub backbone_initial_ratio_lr: f64,
    /// The backbone's first learning rate itself. Left null: by the share.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub backbone_initial_lr: Option<f64>,
    /// Whether the backbone's learning rate grows no further than the rest's.
    #[serde(default = "yes")]
    pub should_align: bool,
    /// Whether the backbone's batch norms are trained too.
    #[serde(default = "yes")]
    pub train_bn: bool,
    /// Whether the learning rates are told each epoch.
    #[serde(default)]
    pub verbose: bool,
}

fn default_backbone() -> Vec<String> {
    vec!["backbone.".to_owned()]
}

const fn ten() -> u64 {
    10
}

const fn two() -> f64 {
    2.0
}

const fn tenth() -> f64 {
    0.1
}

component! { CallbackKind, "backbone_finetuning", BackboneFinetuningConfig => |config, ()| {
    if config.backbone.iter().all(String::is_empty) {
        return Err(BuildError::setting("backbone", "it names no part: write the beginning of its parameters' names, as in [backbone.]"));
    }
    Ok(Box::new(BackboneFinetuning { config: config.clone(), kept: Kept::default() }))
} }

/// Trains a backbone from some epoch on.
#[derive(Debug)]
pub struct BackboneFinetuning {
    config: BackboneFinetuningConfig,
    kept: Kept,
}

/// What a checkpoint keeps of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    /// The backbone's learning rate at the beginning of the epoch; none while it is frozen.
    previous_backbone_lr: Option<f64>,
    /// What the schedule multiplies in the backbone's groups.
    initial_lr: Option<f64>,
    epoch: Option<u64>,
}

const KEY: &str = "callbacks.backbone_finetuning";

impl BackboneFinetuning {
    fn is_backbone(&self, name: &str) -> bool {
        self.config.backbone.iter().any(|beginning| !beginning.is_empty() && name.starts_with(beginning))
    }

    /// Whether a parameter belongs to a batch norm, which is known by its running mean.
    fn is_batch_norm(variables: &[(String, Tensor)], name: &str) -> bool {
        let Some((layer, _)) = name.rsplit_once('.') else { return false };
        variables
            .iter()
            .any(|(known, _)| known.strip_prefix(layer).is_some_and(|rest| rest == ".running_mean"))
    }

    /// Lets gradients flow into the backbone's parameters, or not. `params` are those that the optimizer moves.
    fn set_trained(&self, context: &HookContext<'_>, trained: bool) {
        for group in context.optimizers.iter().flat_map(|slot| slot.optimizer.param_groups()) {
            for (name, param) in
                group.names.iter().zip(&group.params).filter(|(name, _)| self.is_backbone(name))
            {
                let skipped =
                    trained && !self.config.train_bn && Self::is_batch_norm(context.variables, name);
                let _ = param.set_requires_grad(trained && !skipped);
            }
        }
    }

    /// The groups that hold the backbone and nothing else.
    fn groups<'a>(&'a self, optimizers: &'a mut Optimizers) -> impl Iterator<Item = &'a mut ParamGroup> {
        let groups = optimizers.iter_mut().flat_map(|slot| slot.optimizer.param_groups_mut());
        groups.filter(|group| group.names.iter().any(|name| self.is_backbone(name)))
    }

    /// Learning rate, and the configured one, of the first group of the rest.
    fn rest(&self, optimizers: &Optimizers) -> Option<(f64, f64)> {
        let mut groups = optimizers.iter().flat_map(|slot| slot.optimizer.param_groups());
        let rest = groups.find(|group| group.names.iter().all(|name| !self.is_backbone(name)))?;
        Some((rest.lr, rest.initial_lr))
    }

    fn check_groups(&self, optimizers: &Optimizers) -> Result<()> {
        let mut found = false;
        for group in optimizers.iter().flat_map(|slot| slot.optimizer.param_groups()) {
            let inside = group.names.iter().filter(|name| self.is_backbone(name)).count();
            if inside > 0 && inside < group.names.len() {
                let message = format!(
                    "parameter group '{}' holds the backbone ({}) together with other parameters: give the backbone a group of its own in the optimizer",
                    group.name,
                    self.config.backbone.join(", ")
                );
                return Err(Error::config(KEY, message));
            }
            found |= inside > 0;
        }
        if found && self.rest(optimizers).is_some() {
            return Ok(());
        }
        let message =
            format!("no trainable parameter begins with {}, or all do", self.config.backbone.join(", "));
        Err(Error::config(format!("{KEY}.backbone"), message))
    }

    /// Sets the backbone's learning rate to `lr` now, and to its share of it as the rest's schedule goes on.
    fn set_rate(&mut self, context: &mut HookContext<'_>, lr: f64, rest: (f64, f64)) {
        let (current, initial) = rest;
        let scaled = if current > 0.0 { lr * (initial / current) } else { lr };
        for group in self.groups(context.optimizers) {
            (group.lr, group.initial_lr) = (lr, scaled);
        }
        self.kept.previous_backbone_lr = Some(lr);
        self.kept.initial_lr = Some(scaled);
        if self.config.verbose {
            context.events.log(Level::Info, format!("learning rate {current:.3e}, of the backbone {lr:.3e}"));
        }
    }
}

impl Callback for BackboneFinetuning {
    fn on_fit_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.check_groups(context.optimizers)?;
        match self.kept.initial_lr {
            // A run that goes on with its backbone.
            Some(initial) => {
                for group in self.groups(context.optimizers) {
                    (group.lr, group.initial_lr) = (initial, initial);
                }
                self.set_trained(context, true);
                context.reschedule();
            }
            None => self.set_trained(context, false),
        }
        Ok(())
    }

    fn on_train_epoch_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let epoch = context.state.epoch;
        // An epoch that goes on in its middle has its rate already.
        if epoch < self.config.unfreeze_backbone_at_epoch || self.kept.epoch == Some(epoch) {
            return Ok(());
        }
        self.kept.epoch = Some(epoch);
        let Some(rest) = self.rest(context.optimizers) else { return Ok(()) };
        let lr = match self.kept.previous_backbone_lr {
            None => {
                self.set_trained(context, true);
                self.config.backbone_initial_lr.unwrap_or(rest.0 * self.config.backbone_initial_ratio_lr)
            }
            Some(previous) => {
                let next = previous * self.config.multiplier;
                if self.config.should_align { next.min(rest.0) } else { next }
            }
        };
        self.set_rate(context, lr, rest);
        Ok(())
    }

    fn state_dict(&self) -> Value {
        json!(self.kept)
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.kept = load_kept("backbone_finetuning", state)?;
        Ok(())
    }
}
