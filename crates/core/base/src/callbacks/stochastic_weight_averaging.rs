//! Stochastic weight averaging (Izmailov et al. 2018, arXiv:1803.05407).

use std::f64::consts::PI;

use fulmen_contracts::event::Level;
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::{Device, Tensor, no_grad};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::load_kept;
use super::weight_averaging::device;
use crate::callback::{Callback, CallbackKind, CheckpointRequest, HookContext};
use crate::scheduler::{Interval, Scheduler};
use crate::{Error, ParamGroup, Result};

/// Averages the weights at the beginning of each epoch from one epoch on, at a learning rate of its own, and leaves the average in
/// the model (Izmailov et al. 2018, arXiv:1803.05407). Statistics of batch norms are then counted anew in one pass over the training
/// data, and the result is saved as the checkpoint `swa`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StochasticWeightAveragingConfig {
    /// The learning rate of averaging: one for all parameter groups, or one a group.
    pub swa_lrs: SwaLrs,
    /// Where averaging begins: an epoch, from 1 (`8`), or a share of `max_epochs` (`0.8`).
    #[serde(default)]
    pub swa_epoch_start: SwaStart,
    /// Epochs over which the learning rate goes from what it was to `swa_lrs`; 0 leaps.
    #[serde(default = "default_annealing_epochs")]
    pub annealing_epochs: u64,
    /// How it goes there.
    #[serde(default)]
    pub annealing_strategy: Annealing,
    /// Where the average is kept: `cpu`, `cuda` or `cuda:1`. Left null: where the model is.
    #[serde(default = "default_device")]
    pub device: Option<String>,
}

/// One learning rate, or one a parameter group.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SwaLrs {
    /// One for all groups.
    One(f64),
    /// One a group, in order.
    Each(Vec<f64>),
}

/// An epoch, from 1, or a share of all epochs.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SwaStart {
    /// An epoch, from 1.
    Epoch(u64),
    /// A share, from 0 to 1.
    Share(f64),
}

impl Default for SwaStart {
    fn default() -> Self {
        Self::Share(0.8)
    }
}

/// The way of a learning rate from one value to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Annealing {
    /// Half a cosine.
    #[default]
    #[serde(rename = "cos")]
    Cosine,
    /// A straight line.
    #[serde(rename = "linear")]
    Linear,
}

const fn default_annealing_epochs() -> u64 {
    10
}

#[expect(clippy::unnecessary_wraps, reason = "the form that serde asks for")]
fn default_device() -> Option<String> {
    Some("cpu".to_owned())
}

component! { CallbackKind, "stochastic_weight_averaging", StochasticWeightAveragingConfig => |config, ()| {
    let rates = match &config.swa_lrs {
        SwaLrs::One(rate) => std::slice::from_ref(rate),
        SwaLrs::Each(rates) => rates,
    };
    if rates.is_empty() || rates.iter().any(|rate| *rate <= 0.0 || !rate.is_finite()) {
        return Err(BuildError::setting("swa_lrs", "learning rates are more than 0"));
    }
    if matches!(config.swa_epoch_start, SwaStart::Epoch(0)) || matches!(config.swa_epoch_start, SwaStart::Share(share) if !(0.0..=1.0).contains(&share)) {
        return Err(BuildError::setting("swa_epoch_start", "write an epoch from 1 on, or a share from 0.0 to 1.0"));
    }
    let device = device(config.device.as_deref())?;
    Ok(Box::new(StochasticWeightAveraging { config: config.clone(), device, start: 0, kept: Kept::default(), average: Vec::new(), loaded: Vec::new() }))
} }

/// Averages weights from one epoch on.
#[derive(Debug)]
pub struct StochasticWeightAveraging {
    config: StochasticWeightAveragingConfig,
    device: Option<Device>,
    /// The first epoch, from 0, at whose beginning weights are averaged.
    start: u64,
    kept: Kept,
    /// Parameters by name; none before averaging begins.
    average: Vec<(String, Tensor)>,
    /// What a checkpoint kept of them.
    loaded: Vec<(String, Tensor)>,
}

/// What a checkpoint keeps of it beside tensors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    averaged: u64,
    latest_update_epoch: Option<u64>,
    /// The epoch at which the schedule changed, and the learning rate of each group then.
    schedule: Option<(u64, Vec<f64>)>,
}

/// The way from the rates that were to those of averaging, closed form of torch's `SWALR`.
#[derive(Debug)]
struct SwaSchedule {
    since: u64,
    from: Vec<f64>,
    to: Vec<f64>,
    epochs: u64,
    annealing: Annealing,
}

impl SwaSchedule {
    /// The share of the way that is left after `done` epochs.
    fn left(&self, done: u64) -> f64 {
        let gone = done.saturating_sub(self.since) as f64;
        let share = if self.epochs == 0 { 1.0 } else { (gone / self.epochs as f64).min(1.0) };
        1.0 - match self.annealing {
            Annealing::Linear => share,
            Annealing::Cosine => (1.0 - (PI * share).cos()) / 2.0,
        }
    }
}

impl Scheduler for SwaSchedule {
    fn interval(&self) -> Interval {
        Interval::Epoch
    }

    fn apply(&mut self, done: u64, groups: &mut [ParamGroup]) {
        let left = self.left(done);
        for ((group, from), to) in groups.iter_mut().zip(&self.from).zip(&self.to) {
            group.lr = left * from + (1.0 - left) * to;
        }
    }
}

impl StochasticWeightAveraging {
    /// Puts the schedule of averaging into the place of the optimizer's own.
    fn take_schedule(&self, context: &mut HookContext<'_>, since: u64, from: Vec<f64>) -> Result<()> {
        let to = match &self.config.swa_lrs {
            SwaLrs::One(rate) => vec![*rate; from.len()],
            SwaLrs::Each(rates) if rates.len() == from.len() => rates.clone(),
            SwaLrs::Each(rates) => {
                return Err(Error::config(
                    "callbacks.stochastic_weight_averaging.swa_lrs",
                    format!(
                        "{} rates for {} parameter groups: write one a group, or one for all",
                        rates.len(),
                        from.len()
                    ),
                ));
            }
        };
        let (epochs, annealing) = (self.config.annealing_epochs, self.config.annealing_strategy);
        if let Some(slot) = context.optimizers.iter_mut().next() {
            slot.scheduler = Some(Box::new(SwaSchedule { since, from, to, epochs, annealing }));
        }
        context.reschedule();
        Ok(())
    }

    fn update(&mut self, variables: &[(String, Tensor)]) -> Result<()> {
        let trained = variables.iter().filter(|(_, tensor)| tensor.requires_grad());
        no_grad(|| {
            if self.kept.averaged == 0 {
                let copied = |(name, tensor): &(String, Tensor)| {
                    let place = self.device.unwrap_or_else(|| tensor.device());
                    (name.clone(), tensor.detach().to_device(place).copy())
                };
                self.average = trained.map(copied).collect();
            } else {
                let weight = 1.0 / (self.kept.averaged + 1) as f64;
                for ((_, average), (_, tensor)) in self.average.iter_mut().zip(trained) {
                    let _ = average.f_lerp_(&tensor.detach().to_device(average.device()), weight)?;
                }
            }
            self.kept.averaged += 1;
            Ok(())
        })
    }
}

impl Callback for StochasticWeightAveraging {
    fn on_fit_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        const KEY: &str = "callbacks.stochastic_weight_averaging";
        if context.optimizers.len() != 1 {
            return Err(Error::config(KEY, "stochastic weight averaging works with one optimizer"));
        }
        let epoch = match (self.config.swa_epoch_start, context.config.epochs()) {
            (SwaStart::Epoch(epoch), _) => epoch,
            (SwaStart::Share(share), Some(epochs)) => (epochs as f64 * share) as u64,
            (SwaStart::Share(_), None) => {
                return Err(Error::config(
                    format!("{KEY}.swa_epoch_start"),
                    "a share needs trainer.max_epochs: set it, or write an epoch",
                ));
            }
        };
        self.start = epoch.saturating_sub(1);
        if let Some((since, from)) = self.kept.schedule.clone() {
            self.average = std::mem::take(&mut self.loaded);
            let known = |name: &str| context.variables.iter().any(|(variable, _)| variable == name);
            if let Some((name, _)) = self.average.iter().find(|(name, _)| !known(name)) {
                return Err(Error::config(
                    KEY,
                    format!("its saved average has '{name}', which this model has not"),
                ));
            }
            self.take_schedule(context, since, from)?;
        }
        Ok(())
    }

    fn on_train_epoch_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let epoch = context.state.epoch;
        if epoch < self.start {
            return Ok(());
        }
        if self.kept.schedule.is_none() {
            let groups = context.optimizers.iter().flat_map(|slot| slot.optimizer.param_groups());
            let from: Vec<_> = groups.map(|group| group.lr).collect();
            if context.optimizers.iter().any(|slot| slot.scheduler.is_some()) {
                let message = "weights are averaged from here on: the learning rate goes to swa_lrs instead of its schedule's way";
                context.events.log(Level::Info, message);
            }
            self.kept.schedule = Some((epoch, from.clone()));
            self.take_schedule(context, epoch, from)?;
        }
        if self.kept.latest_update_epoch.is_none_or(|latest| epoch > latest) {
            self.update(context.variables)?;
            self.kept.latest_update_epoch = Some(epoch);
        }
        Ok(())
    }

    fn on_train_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.average.is_empty() {
            return Ok(());
        }
        let trained = context.variables.iter().filter(|(_, tensor)| tensor.requires_grad());
        no_grad(|| {
            for ((_, tensor), (_, average)) in trained.zip(&self.average) {
                tensor.shallow_clone().f_copy_(average)?;
            }
            Ok::<_, Error>(())
        })?;
        context.request_batch_norm_update();
        context.request_checkpoint(CheckpointRequest {
            name: format!("epoch={}-step={}-swa", context.state.epoch, context.state.global_step),
            aliases: vec!["swa"],
            replaces: Vec::new(),
            weights_only: true,
            reason: format!("average of {} epochs", self.kept.averaged),
        });
        Ok(())
    }

    fn state_dict(&self) -> Value {
        json!(self.kept)
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.kept = load_kept("stochastic_weight_averaging", state)?;
        Ok(())
    }

    fn state_tensors(&self) -> Vec<(String, Tensor)> {
        self.average.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }

    fn load_state_tensors(&mut self, tensors: Vec<(String, Tensor)>) -> Result<()> {
        // On the device of the average, in the order of their names, as the model's variables are.
        self.loaded = match self.device {
            Some(device) => {
                tensors.into_iter().map(|(name, tensor)| (name, tensor.to_device(device))).collect()
            }
            None => tensors,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(epochs: u64, annealing: Annealing) -> Vec<f64> {
        let mut schedule = SwaSchedule { since: 2, from: vec![0.1], to: vec![0.02], epochs, annealing };
        let mut groups = crate::callback::tests::sgd(0.1, 0.0);
        let slot = groups.iter_mut().next().unwrap();
        (2..8)
            .map(|done| {
                schedule.apply(done, slot.optimizer.param_groups_mut());
                slot.optimizer.param_groups()[0].lr
            })
            .collect()
    }

    /// `torch.optim.swa_utils.SWALR(SGD(lr=0.1), swa_lr=0.02, anneal_epochs=4)`, one step an epoch.
    #[test]
    fn the_learning_rate_goes_the_way_of_torchs_swalr() {
        let close = |ours: Vec<f64>, torch: [f64; 6]| {
            for (ours, theirs) in ours.iter().zip(torch) {
                assert!((ours - theirs).abs() < 1e-9, "{ours} {theirs}");
            }
        };
        close(rates(4, Annealing::Linear), [0.1, 0.08, 0.06, 0.04, 0.02, 0.02]);
        close(
            rates(4, Annealing::Cosine),
            [0.1, 0.088_284_271_247_461_9, 0.06, 0.031_715_728_752_538_1, 0.02, 0.02],
        );
        close(rates(0, Annealing::Cosine), [0.02; 6]);
    }
}
