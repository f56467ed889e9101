//! Adagrad (Duchi, Hazan and Singer 2011, JMLR 12).

use fulmen_registry::component;
use fulmen_torch::TorchError;
use fulmen_torch::optimizers::{Adagrad, Rows};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::grouped::{Grouped, Rule, device_step};
use super::groups::{Base, ParamGroupsConfig};
use super::settings;
use crate::OptimizerKind;
use crate::optimizer::ParamGroup;

/// Adagrad, under torch's names and defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdagradConfig {
    /// Learning rate.
    #[serde(default = "settings::lr_1e_2")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Decay of the learning rate: after `n` steps it is divided by `1 + n * lr_decay`.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub lr_decay: f64,
    /// L2 penalty.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// What the sums of squared gradients begin with.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub initial_accumulator_value: f64,
    /// Added to the denominator.
    #[serde(default = "default_eps")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// Whether to go uphill.
    #[serde(default)]
    pub maximize: bool,
    /// Parameters with settings of their own.
    #[serde(default)]
    pub param_groups: ParamGroupsConfig,
}

const fn default_eps() -> f64 {
    1e-10
}

component! { OptimizerKind, "adagrad", AdagradConfig => |config, parameters| {
    let base = Base { suffix: "", lr: config.lr, weight_decay: config.weight_decay, momentum: None };
    Grouped::build(parameters, &config.param_groups, base, config.clone())
} }

impl Rule for AdagradConfig {
    fn state(&self, param: &Tensor) -> Vec<(&'static str, Tensor)> {
        vec![("sum", param.full_like(self.initial_accumulator_value)), ("step", device_step(param))]
    }

    fn step(&self, group: &ParamGroup, rows: &mut Rows) -> Result<(), TorchError> {
        rows.step(&Adagrad {
            lr: group.lr,
            lr_decay: self.lr_decay,
            weight_decay: group.weight_decay,
            eps: self.eps,
            maximize: self.maximize.into(),
        })
    }
}
