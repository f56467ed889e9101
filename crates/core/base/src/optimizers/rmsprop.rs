//! RMSprop (Hinton 2012, lecture 6e), centered as in Graves 2013 (arXiv:1308.0850).

use fulmen_registry::component;
use fulmen_torch::TorchError;
use fulmen_torch::optimizers::{RmsProp, Rows};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::grouped::{Grouped, Rule, zeros};
use super::groups::{Base, ParamGroupsConfig};
use super::settings;
use crate::OptimizerKind;
use crate::optimizer::ParamGroup;

/// RMSprop, under torch's names and defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RmsPropConfig {
    /// Learning rate.
    #[serde(default = "settings::lr_1e_2")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Decay of the running average of the squared gradient.
    #[serde(default = "default_alpha")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: f64,
    /// Added to the denominator.
    #[serde(default = "settings::eps_1e_8")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// L2 penalty.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Momentum factor.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub momentum: f64,
    /// Whether the gradient is divided by the root of its variance rather than of its second moment.
    #[serde(default)]
    pub centered: bool,
    /// Parameters with settings of their own.
    #[serde(default)]
    pub param_groups: ParamGroupsConfig,
}

const fn default_alpha() -> f64 {
    0.99
}

component! { OptimizerKind, "rmsprop", RmsPropConfig => |config, parameters| {
    let base = Base { suffix: "", lr: config.lr, weight_decay: config.weight_decay, momentum: (config.momentum != 0.0).then_some(config.momentum) };
    Grouped::build(parameters, &config.param_groups, base, config.clone())
} }

impl Rule for RmsPropConfig {
    fn state(&self, param: &Tensor) -> Vec<(&'static str, Tensor)> {
        let names = [
            Some("square_avg"),
            self.centered.then_some("grad_avg"),
            (self.momentum != 0.0).then_some("momentum_buffer"),
        ];
        names.into_iter().flatten().map(|name| (name, zeros(param))).collect()
    }

    fn step(&self, group: &ParamGroup, rows: &mut Rows) -> Result<(), TorchError> {
        rows.step(&RmsProp {
            lr: group.lr,
            alpha: self.alpha,
            eps: self.eps,
            weight_decay: group.weight_decay,
            momentum: group.momentum.unwrap_or_default(),
            centered: self.centered.into(),
        })
    }
}
