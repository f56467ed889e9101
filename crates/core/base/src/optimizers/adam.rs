//! Adam (Kingma and Ba 2014, arXiv:1412.6980) and AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101).

use fulmen_registry::component;
use fulmen_torch::TorchError;
use fulmen_torch::optimizers::{Adam, Rows};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::grouped::{Grouped, Rule, device_step, zeros};
use super::groups::{Base, ParamGroupsConfig};
use super::settings;
use crate::OptimizerKind;
use crate::optimizer::ParamGroup;

/// Adam with decoupled weight decay, under torch's names and defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamWConfig {
    /// Learning rate.
    #[serde(default = "settings::lr_1e_3")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Decay of the running averages of gradient and squared gradient.
    #[serde(default = "settings::betas")]
    pub betas: (f64, f64),
    /// Added to the denominator.
    #[serde(default = "settings::eps_1e_8")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// Share of each parameter that is taken off per step, times the learning rate.
    #[serde(default = "settings::weight_decay_1e_2")]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether the greatest running average of the squared gradient counts (Reddi et al. 2018, arXiv:1904.09237).
    #[serde(default)]
    pub amsgrad: bool,
    /// Whether to go uphill.
    #[serde(default)]
    pub maximize: bool,
    /// Parameters with settings of their own.
    #[serde(default)]
    pub param_groups: ParamGroupsConfig,
}

/// Adam, with weight decay as part of the gradient, under torch's names and defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// Learning rate.
    #[serde(default = "settings::lr_1e_3")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Decay of the running averages of gradient and squared gradient.
    #[serde(default = "settings::betas")]
    pub betas: (f64, f64),
    /// Added to the denominator.
    #[serde(default = "settings::eps_1e_8")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// L2 penalty.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether the greatest running average of the squared gradient counts (Reddi et al. 2018, arXiv:1904.09237).
    #[serde(default)]
    pub amsgrad: bool,
    /// Whether to go uphill.
    #[serde(default)]
    pub maximize: bool,
    /// Parameters with settings of their own.
    #[serde(default)]
    pub param_groups: ParamGroupsConfig,
}

component! { OptimizerKind, "adamw", AdamWConfig => |config, parameters| {
    settings::check_betas("betas", config.betas)?;
    let base = Base { suffix: "", lr: config.lr, weight_decay: config.weight_decay, momentum: Some(config.betas.0) };
    Grouped::build(parameters, &config.param_groups, base, AdamRule { beta2: config.betas.1, eps: config.eps, decoupled: true, amsgrad: config.amsgrad, maximize: config.maximize })
} }

component! { OptimizerKind, "adam", AdamConfig => |config, parameters| {
    settings::check_betas("betas", config.betas)?;
    let base = Base { suffix: "", lr: config.lr, weight_decay: config.weight_decay, momentum: Some(config.betas.0) };
    Grouped::build(parameters, &config.param_groups, base, AdamRule { beta2: config.betas.1, eps: config.eps, decoupled: false, amsgrad: config.amsgrad, maximize: config.maximize })
} }

/// Adam or AdamW.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdamRule {
    pub(super) beta2: f64,
    pub(super) eps: f64,
    pub(super) decoupled: bool,
    pub(super) amsgrad: bool,
    pub(super) maximize: bool,
}

impl Rule for AdamRule {
    fn state(&self, param: &Tensor) -> Vec<(&'static str, Tensor)> {
        let greatest = self.amsgrad.then(|| ("max_exp_avg_sq", zeros(param)));
        [("exp_avg", zeros(param)), ("exp_avg_sq", zeros(param)), ("step", device_step(param))]
            .into_iter()
            .chain(greatest)
            .collect()
    }

    fn step(&self, group: &ParamGroup, rows: &mut Rows) -> Result<(), TorchError> {
        rows.step(&Adam {
            lr: group.lr,
            beta1: group.momentum.unwrap_or_default(),
            beta2: self.beta2,
            eps: self.eps,
            weight_decay: group.weight_decay,
            decoupled: self.decoupled.into(),
            amsgrad: self.amsgrad.into(),
            maximize: self.maximize.into(),
        })
    }
}
