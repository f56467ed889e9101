//! Averages of the weights over the steps of training: what is validated, saved and left at the end.

use std::mem;

use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::{Device, Tensor, no_grad};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{load_kept, yes};
use crate::callback::{Callback, CallbackKind, HookContext};
use crate::{Error, Result};

/// Keeps the mean of the weights over all steps. Validation uses it, a checkpoint holds it as the model (and beside it the
/// weights that training goes on from), and the model has it at the end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightAveragingConfig {
    /// Where averages are kept: `cpu`, `cuda` or `cuda:1`. Left null: where the model is.
    #[serde(default)]
    pub device: Option<String>,
    /// Whether buffers, such as the statistics of batch norms, are averaged too; else they are the model's own.
    #[serde(default = "yes")]
    pub use_buffers: bool,
}

component! { CallbackKind, "weight_averaging", WeightAveragingConfig => |config, ()| {
    let device = device(config.device.as_deref())?;
    Ok(Box::new(WeightAveraging::new("weight_averaging", device, config.use_buffers, Rule::Mean)))
} }

/// Keeps an exponential moving average of the weights: after each update `decay` of the average and the rest of the weights.
/// Validation uses it, a checkpoint holds it as the model (and beside it the weights that training goes on from), and the model
/// has it at the end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmaWeightAveragingConfig {
    /// Where averages are kept: `cpu`, `cuda` or `cuda:1`. Left null: where the model is.
    #[serde(default)]
    pub device: Option<String>,
    /// Whether buffers, such as the statistics of batch norms, are averaged too; else they are the model's own.
    #[serde(default = "yes")]
    pub use_buffers: bool,
    /// The share of the average that an update leaves.
    #[serde(default = "default_decay")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub decay: f64,
    /// Optimizer steps between two updates; 0 for none by steps.
    #[serde(default = "one")]
    pub update_every_n_steps: u64,
    /// The first step, from 0, that is averaged. Left null: the first of all.
    #[serde(default)]
    pub update_starting_at_step: Option<u64>,
    /// The first epoch, from 0, at whose end there is an update besides. Left null: none is by epochs.
    #[serde(default)]
    pub update_starting_at_epoch: Option<u64>,
}

const fn default_decay() -> f64 {
    0.999
}

const fn one() -> u64 {
    1
}

component! { CallbackKind, "ema_weight_averaging", EmaWeightAveragingConfig => |config, ()| {
    let device = device(config.device.as_deref())?;
    let rule = Rule::Ema(config.clone());
    Ok(Box::new(WeightAveraging::new("ema_weight_averaging", device, config.use_buffers, rule)))
} }

/// Reads `cpu`, `cuda` or `cuda:1`.
pub(super) fn device(name: Option<&str>) -> Result<Option<Device>, BuildError> {
    let Some(name) = name else { return Ok(None) };
    let index = match name {
        "cpu" => return Ok(Some(Device::Cpu)),
        "cuda" => Some(0),
        _ => name.strip_prefix("cuda:").and_then(|index| index.parse().ok()),
    };
    index.map(|index| Some(Device::Cuda(index))).ok_or_else(|| {
        BuildError::setting("device", format!("'{name}' is no device: write cpu, cuda or cuda:1"))
    })
}

#[derive(Debug, Clone)]
enum Rule {
    Mean,
    Ema(EmaWeightAveragingConfig),
}

impl Rule {
    /// Whether there is an update after the step of this number, from 0.
    fn after_step(&self, step: u64) -> bool {
        match self {
            Self::Mean => true,
            Self::Ema(config) => {
                config.update_starting_at_step.is_none_or(|first| step >= first)
                    && config.update_every_n_steps > 0
                    && step.is_multiple_of(config.update_every_n_steps)
            }
        }
    }

    /// Whether there is an update after the epoch of this number, from 0.
    fn after_epoch(&self, epoch: u64) -> bool {
        match self {
            Self::Mean => false,
            Self::Ema(config) => config.update_starting_at_epoch.is_some_and(|first| epoch >= first),
        }
    }

    /// The share of the new weights in the average, after `averaged` updates.
    fn weight(&self, averaged: u64) -> f64 {
        match self {
            Self::Mean => 1.0 / (averaged + 1) as f64,
            Self::Ema(config) => 1.0 - config.decay,
        }
    }
}

/// Averages of the weights.
#[derive(Debug)]
pub struct WeightAveraging {
    name: &'static str,
    device: Option<Device>,
    use_buffers: bool,
    rule: Rule,
    kept: Kept,
    /// Parameters and buffers of the model, sharing its memory.
    variables: Vec<(String, Tensor)>,
    /// What is not in the model: averages while it trains, the weights of training while it is validated.
    other: Vec<Tensor>,
    swapped: bool,
    /// What a checkpoint kept of the weights of training, until it can be put into the model.
    loaded: Vec<(String, Tensor)>,
}

/// What a checkpoint keeps of it beside tensors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    averaged: u64,
    latest_update_step: u64,
    latest_update_epoch: Option<u64>,
}

/// What the weights of training are called in a checkpoint.
const CURRENT: &str = "current_model_state/";

impl WeightAveraging {
    fn new(name: &'static str, device: Option<Device>, use_buffers: bool, rule: Rule) -> Self {
        let (kept, variables, other, loaded) = (Kept::default(), Vec::new(), Vec::new(), Vec::new());
        Self { name, device, use_buffers, rule, kept, variables, other, swapped: false, loaded }
    }

    /// Begins with the model's weights as they are.
    fn begin(&mut self, variables: &[(String, Tensor)]) {
        let place = |tensor: &Tensor| self.device.unwrap_or_else(|| tensor.device());
        self.other = no_grad(|| {
            let copied = |(_, tensor): &(String, Tensor)| tensor.detach().to_device(place(tensor)).copy();
            variables.iter().map(copied).collect()
        });
        self.variables =
            variables.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        self.swapped = false;
    }

    fn update(&mut self) -> Result<()> {
        let weight = self.rule.weight(self.kept.averaged);
        no_grad(|| {
            for ((_, current), average) in self.variables.iter().zip(&mut self.other) {
                let is_buffer = !current.requires_grad();
                let plain = self.kept.averaged == 0 || !current.is_floating_point();
                if plain || (is_buffer && !self.use_buffers) {
                    average.f_copy_(current)?;
                } else if current.device() == average.device() {
                    let _ = average.f_lerp_(&current.detach(), weight)?;
                } else {
                    let _ = average.f_lerp_(&current.detach().to_device(average.device()), weight)?;
                }
            }
            self.kept.averaged += 1;
            Ok(())
        })
    }

    /// Changes the weights in the model for those that are not.
    fn swap(&mut self) -> Result<()> {
        no_grad(|| {
            for ((_, in_model), other) in self.variables.iter().zip(&mut self.other) {
                let kept = in_model.detach().copy();
                in_model.shallow_clone().f_copy_(other)?;
                other.f_copy_(&kept)?;
            }
            Ok::<_, Error>(())
        })?;
        self.swapped = !self.swapped;
        Ok(())
    }

    /// The weights of training.
    fn current(&self) -> Vec<&Tensor> {
        if self.swapped { self.other.iter().collect() } else { self.in_model() }
    }

    /// The averages.
    fn average(&self) -> Vec<&Tensor> {
        if self.swapped { self.in_model() } else { self.other.iter().collect() }
    }

    fn in_model(&self) -> Vec<&Tensor> {
        self.variables.iter().map(|(_, tensor)| tensor).collect()
    }
}

impl Callback for WeightAveraging {
    fn on_fit_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.variables.is_empty() {
            self.begin(context.variables);
        }
        Ok(())
    }

    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let steps = context.state.global_step;
        if steps > self.kept.latest_update_step && self.rule.after_step(steps - 1) {
            self.update()?;
            self.kept.latest_update_step = steps;
        }
        Ok(())
    }

    fn on_train_epoch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let epoch = context.state.epoch;
        let is_new = self.kept.latest_update_epoch.is_none_or(|latest| epoch > latest);
        if is_new && self.rule.after_epoch(epoch) {
            self.update()?;
            self.kept.latest_update_epoch = Some(epoch);
        }
        Ok(())
    }

    fn on_validation_epoch_start(&mut self, _: &mut HookContext<'_>) -> Result<()> {
        // Outside training there are no averages: the model of a checkpoint has them already.
        if self.swapped { Ok(()) } else { self.swap() }
    }

    fn on_validation_epoch_end(&mut self, _: &mut HookContext<'_>) -> Result<()> {
        if self.swapped { self.swap() } else { Ok(()) }
    }

    fn on_train_end(&mut self, _: &mut HookContext<'_>) -> Result<()> {
        no_grad(|| {
            for ((_, in_model), average) in self.variables.iter().zip(self.average()) {
                in_model.shallow_clone().f_copy_(average)?;
            }
            Ok(())
        })
    }

    fn teardown(&mut self, _: &mut HookContext<'_>) -> Result<()> {
        // A validation that was cut short has left the averages in the model.
        if self.swapped {
            self.swap()?;
        }
        (self.variables, self.other) = (Vec::new(), Vec::new());
        Ok(())
    }

    fn on_save_checkpoint(&self, model: &mut Vec<(String, Tensor)>) {
        if !self.variables.is_empty() {
            let names = self.variables.iter().map(|(name, _)| name.clone());
            *model = names.zip(self.average().into_iter().map(Tensor::shallow_clone)).collect();
        }
    }

    fn on_load_checkpoint(&mut self, variables: &[(String, Tensor)]) -> Result<()> {
        // The model has the averages now, or what a run without them saved.
        self.begin(variables);
        let loaded = mem::take(&mut self.loaded);
        no_grad(|| {
            for (name, tensor) in &loaded {
                let Some((_, variable)) = variables.iter().find(|(known, _)| known == name) else {
                    return Err(Error::config(
                        format!("callbacks.{}", self.name),
                        format!(
                            "its saved weights have '{name}', which this model has not: it was saved for another"
                        ),
                    ));
                };
                variable.shallow_clone().f_copy_(tensor)?;
            }
            Ok(())
        })
    }

    fn state_dict(&self) -> Value {
        json!(self.kept)
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.kept = load_kept(self.name, state)?;
        Ok(())
    }

    fn state_tensors(&self) -> Vec<(String, Tensor)> {
        let names = self.variables.iter().map(|(name, _)| format!("{CURRENT}{name}"));
        names.zip(self.current().into_iter().map(Tensor::shallow_clone)).collect()
    }

    fn load_state_tensors(&mut self, tensors: Vec<(String, Tensor)>) -> Result<()> {
        let own = |(name, tensor): (String, Tensor)| Some((name.strip_prefix(CURRENT)?.to_owned(), tensor));
        self.loaded = tensors.into_iter().filter_map(own).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fulmen_torch::tch::Kind;

    use super::*;
    use crate::callback::tests::CallbackHook;

    fn averaging(rule: Rule) -> (WeightAveraging, CallbackHook) {
        let mut hook = CallbackHook::new([]);
        let tensor = |value: f64| Tensor::full([2], value, (Kind::Float, Device::Cpu));
        hook.variables =
            vec![("w".into(), tensor(1.0).set_requires_grad(true)), ("mean".into(), tensor(0.0))];
        let mut callback = WeightAveraging::new("weight_averaging", None, true, rule);
        callback.on_fit_start(&mut hook.context()).unwrap();
        (callback, hook)
    }

    fn ema(settings: Value) -> Rule {
        Rule::Ema(serde_json::from_value(settings).unwrap())
    }

    /// A step after which the weight is `value`.
    fn step(callback: &mut WeightAveraging, hook: &mut CallbackHook, value: f64) {
        let _ = no_grad(|| hook.variables[0].1.shallow_clone().fill_(value));
        hook.state.global_step += 1;
        callback.on_train_batch_end(&mut hook.context()).unwrap();
        // Batches of the same window change nothing.
        callback.on_train_batch_end(&mut hook.context()).unwrap();
    }

    fn average(callback: &WeightAveraging) -> f64 {
        callback.average()[0].double_value(&[0])
    }

    #[test]
    fn an_ema_begins_with_the_first_step_and_keeps_its_share() {
        let (mut callback, mut hook) = averaging(ema(json!({"decay": 0.75})));
        step(&mut callback, &mut hook, 2.0);
        assert_eq!(average(&callback), 2.0);
        step(&mut callback, &mut hook, 6.0);
        assert_eq!(average(&callback), 0.75 * 2.0 + 0.25 * 6.0);
    }

    #[test]
    fn a_mean_is_that_of_all_steps() {
        let (mut callback, mut hook) = averaging(Rule::Mean);
        for value in [3.0, 5.0, 10.0] {
            step(&mut callback, &mut hook, value);
        }
        assert_eq!(average(&callback), 6.0);
    }

    #[test]
    fn steps_and_epochs_that_are_averaged_are_those_of_lightning() {
        let rule = ema(json!({"update_every_n_steps": 3, "update_starting_at_step": 4}));
        assert_eq!((0..12).filter(|&step| rule.after_step(step)).collect::<Vec<_>>(), [6, 9]);
        let rule = ema(json!({"update_every_n_steps": 0, "update_starting_at_epoch": 2}));
        assert!((0..9).all(|step| !rule.after_step(step)) && !rule.after_epoch(1) && rule.after_epoch(2));
    }

    #[test]
    fn validation_sees_the_average_in_the_models_own_memory_and_training_its_weights_again() {
        let (mut callback, mut hook) = averaging(ema(json!({"decay": 0.5})));
        step(&mut callback, &mut hook, 2.0);
        step(&mut callback, &mut hook, 4.0);
        let address = hook.variables[0].1.data_ptr();
        callback.on_validation_epoch_start(&mut hook.context()).unwrap();
        assert_eq!(hook.variables[0].1.double_value(&[0]), 3.0);
        // A checkpoint that is saved meanwhile holds the same as one saved later.
        let mut saved = Vec::new();
        callback.on_save_checkpoint(&mut saved);
        assert_eq!(
            (saved[0].1.double_value(&[0]), callback.state_tensors()[0].1.double_value(&[0])),
            (3.0, 4.0)
        );
        callback.on_validation_epoch_end(&mut hook.context()).unwrap();
        assert_eq!((hook.variables[0].1.double_value(&[0]), hook.variables[0].1.data_ptr()), (4.0, address));
    }

    #[test]
    fn buffers_are_the_models_own_where_they_are_not_averaged() {
        let (mut callback, mut hook) = averaging(ema(json!({"decay": 0.5})));
        callback.use_buffers = false;
        step(&mut callback, &mut hook, 1.0);
        let _ = hook.variables[1].1.fill_(8.0);
        step(&mut callback, &mut hook, 1.0);
        assert_eq!(callback.average()[1].double_value(&[0]), 8.0);
    }

    #[test]
    fn devices_are_read_by_torchs_names() {
        assert_eq!(device(Some("cuda:1")).unwrap(), Some(Device::Cuda(1)));
        assert_eq!((device(Some("cpu")).unwrap(), device(None).unwrap()), (Some(Device::Cpu), None));
        assert!(device(Some("gpu")).is_err());
    }
}
