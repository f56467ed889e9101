//! LAMB (You et al. 2019, arXiv:1904.00962): Adam with a rate for each layer.

use fulmen_registry::component;
use fulmen_torch::TorchError;
use fulmen_torch::optimizers::{Lamb, Rows};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::grouped::{Grouped, Rule, host_step, zeros};
use super::groups::{Base, ParamGroupsConfig};
use super::settings;
use crate::OptimizerKind;
use crate::optimizer::ParamGroup;

/// LAMB, for large batches: each parameter's update is as large as the parameter itself, times the learning rate.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LambConfig {
    /// Learning rate.
    #[serde(default = "settings::lr_1e_3")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Decay of the running averages of gradient and squared gradient.
    #[serde(default = "settings::betas")]
    pub betas: (f64, f64),
    /// Added to the denominator.
    #[serde(default = "default_eps")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// Share of each parameter that is added to its update before that is scaled.
    #[serde(default = "settings::weight_decay_1e_2")]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Parameters with settings of their own.
    #[serde(default)]
    pub param_groups: ParamGroupsConfig,
}

const fn default_eps() -> f64 {
    1e-6
}

component! { OptimizerKind, "lamb", LambConfig => |config, parameters| {
    settings::check_betas("betas", config.betas)?;
    let base = Base { suffix: "", lr: config.lr, weight_decay: config.weight_decay, momentum: Some(config.betas.0) };
    Grouped::build(parameters, &config.param_groups, base, config.clone())
} }

impl Rule for LambConfig {
    fn state(&self, param: &Tensor) -> Vec<(&'static str, Tensor)> {
        vec![("exp_avg", zeros(param)), ("exp_avg_sq", zeros(param)), ("step", host_step())]
    }

    fn step(&self, group: &ParamGroup, rows: &mut Rows) -> Result<(), TorchError> {
        rows.step(&Lamb {
            lr: group.lr,
            beta1: group.momentum.unwrap_or_default(),
            beta2: self.betas.1,
            eps: self.eps,
            weight_decay: group.weight_decay,
        })
    }
}
