//! Adam (Kingma and Ba 2014, arXiv:1412.6980) and AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101).

use std::collections::HashMap;

use fulmen_registry::{BuildError, component};
use fulmen_torch::optimizers::{self, fused_adam};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::state::StateTensors;
use crate::{Optimizer, OptimizerKind, ParamGroup, Result};

/// Adam with decoupled weight decay, under torch's names and defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamWConfig {
    /// Learning rate.
    #[serde(default = "default_lr")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Decay of the running averages of gradient and squared gradient.
    #[serde(default = "default_betas")]
    pub betas: (f64, f64),
    /// Added to the denominator.
    #[serde(default = "default_eps")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// Share of each parameter that is taken off per step, times the learning rate.
    #[serde(default = "default_weight_decay")]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

/// Adam, with weight decay as part of the gradient, under torch's names and defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// Learning rate.
    #[serde(default = "default_lr")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Decay of the running averages of gradient and squared gradient.
    #[serde(default = "default_betas")]
    pub betas: (f64, f64),
    /// Added to the denominator.
    #[serde(default = "default_eps")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// L2 penalty.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

const fn default_lr() -> f64 {
    1e-3
}

const fn default_betas() -> (f64, f64) {
    (0.9, 0.999)
}

const fn default_eps() -> f64 {
    1e-8
}

const fn default_weight_decay() -> f64 {
    1e-2
}

component! { OptimizerKind, "adamw", AdamWConfig => |config, parameters| {
    let AdamWConfig { lr, betas, eps, weight_decay } = *config;
    Adam::build(parameters, optimizers::Adam { lr, betas, eps, weight_decay, decoupled: true })
} }

component! { OptimizerKind, "adam", AdamConfig => |config, parameters| {
    let AdamConfig { lr, betas, eps, weight_decay } = *config;
    Adam::build(parameters, optimizers::Adam { lr, betas, eps, weight_decay, decoupled: false })
} }

/// Adam or AdamW.
#[derive(Debug)]
pub struct Adam {
    group: [ParamGroup; 1],
    exp_avg: StateTensors,
    exp_avg_sq: StateTensors,
    step: StateTensors,
    settings: optimizers::Adam,
}

impl Adam {
    fn build(
        parameters: &[(String, Tensor)],
        settings: optimizers::Adam,
    ) -> Result<Box<dyn Optimizer>, BuildError> {
        for (index, beta) in [settings.betas.0, settings.betas.1].into_iter().enumerate() {
            if !(0.0..1.0).contains(&beta) {
                return Err(BuildError::setting(
                    format!("betas[{index}]"),
                    format!("{beta} is not in [0, 1)"),
                ));
            }
        }
        Ok(Box::new(Self::new(parameters, settings)))
    }

    /// For these parameters, by name.
    pub fn new(parameters: &[(String, Tensor)], settings: optimizers::Adam) -> Self {
        let group = super::state::group(parameters, settings.lr);
        let params = &group.params;
        Self {
            exp_avg: StateTensors::like("exp_avg", params),
            exp_avg_sq: StateTensors::like("exp_avg_sq", params),
            step: StateTensors::counts("step", params),
            group: [group],
            settings,
        }
    }
}

impl Optimizer for Adam {
    fn step(&mut self) -> Result<()> {
        let Self { group: [group], exp_avg, exp_avg_sq, step, settings } = self;
        let settings = optimizers::Adam { lr: group.lr, ..*settings };
        Ok(fused_adam(&group.params, &exp_avg.tensors, &exp_avg_sq.tensors, &step.tensors, settings)?)
    }

    fn param_groups(&self) -> &[ParamGroup] {
        &self.group
    }

    fn param_groups_mut(&mut self) -> &mut [ParamGroup] {
        &mut self.group
    }

    fn state_dict(&self) -> Vec<(String, Tensor)> {
        [&self.exp_avg, &self.exp_avg_sq, &self.step]
            .into_iter()
            .flat_map(|state| state.save(&self.group[0].names))
            .collect()
    }

    fn load_state_dict(&mut self, saved: &HashMap<String, Tensor>) -> Result<()> {
        for state in [&mut self.exp_avg, &mut self.exp_avg_sq, &mut self.step] {
            state.load(&self.group[0].names, saved)?;
        }
        Ok(())
    }
}
