//! Lion (Chen et al. 2023, arXiv:2302.06675): steps by the sign of the momentum.

use fulmen_registry::component;
use fulmen_torch::TorchError;
use fulmen_torch::optimizers::{Lion, Rows};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::grouped::{Grouped, Rule, zeros};
use super::groups::{Base, ParamGroupsConfig};
use super::settings;
use crate::OptimizerKind;
use crate::optimizer::ParamGroup;

/// Lion: steps by the sign of the momentum. It wants a rate 3 to 10 times smaller than AdamW's, and as much more decay.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LionConfig {
    /// Learning rate.
    #[serde(default = "default_lr")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Share of the momentum in the direction of a step, and decay of the momentum.
    #[serde(default = "default_betas")]
    pub betas: (f64, f64),
    /// Share of each parameter that is taken off per step, times the learning rate.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Parameters with settings of their own.
    #[serde(default)]
    pub param_groups: ParamGroupsConfig,
}

const fn default_lr() -> f64 {
    1e-4
}

const fn default_betas() -> (f64, f64) {
    (0.9, 0.99)
}

component! { OptimizerKind, "lion", LionConfig => |config, parameters| {
    settings::check_betas("betas", config.betas)?;
    let base = Base { suffix: "", lr: config.lr, weight_decay: config.weight_decay, momentum: Some(config.betas.0) };
    Grouped::build(parameters, &config.param_groups, base, config.clone())
} }

impl Rule for LionConfig {
    fn state(&self, param: &Tensor) -> Vec<(&'static str, Tensor)> {
        vec![("exp_avg", zeros(param))]
    }

    fn step(&self, group: &ParamGroup, rows: &mut Rows) -> Result<(), TorchError> {
        rows.step(&Lion {
            lr: group.lr,
            beta1: group.momentum.unwrap_or_default(),
            beta2: self.betas.1,
            weight_decay: group.weight_decay,
        })
    }
}
