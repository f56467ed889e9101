//! Stochastic gradient descent, with momentum (Sutskever et al. 2013) as torch has it.

use fulmen_registry::{BuildError, component};
use fulmen_torch::TorchError;
use fulmen_torch::optimizers::{Rows, Sgd};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::grouped::{Grouped, Rule, host_step, zeros};
use super::groups::{Base, ParamGroupsConfig};
use super::settings;
use crate::OptimizerKind;
use crate::optimizer::ParamGroup;

/// Stochastic gradient descent, under torch's names and defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SgdConfig {
    /// Learning rate.
    #[serde(default = "settings::lr_1e_3")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Momentum factor.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub momentum: f64,
    /// Dampening of the momentum.
    #[serde(default)]
    pub dampening: f64,
    /// L2 penalty.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Nesterov's form of the momentum.
    #[serde(default)]
    pub nesterov: bool,
    /// Whether to go uphill.
    #[serde(default)]
    pub maximize: bool,
    /// Parameters with settings of their own.
    #[serde(default)]
    pub param_groups: ParamGroupsConfig,
}

component! { OptimizerKind, "sgd", SgdConfig => |config, parameters| {
    if config.nesterov && (config.momentum <= 0.0 || config.dampening != 0.0) {
        return Err(BuildError::setting("nesterov", "Nesterov's form needs momentum > 0 and dampening = 0"));
    }
    let base = Base { suffix: "", lr: config.lr, weight_decay: config.weight_decay, momentum: (config.momentum != 0.0).then_some(config.momentum) };
    Grouped::build(parameters, &config.param_groups, base, config.clone())
} }

impl Rule for SgdConfig {
    fn state(&self, param: &Tensor) -> Vec<(&'static str, Tensor)> {
        if self.momentum == 0.0 {
            return Vec::new();
        }
        vec![("momentum_buffer", zeros(param)), ("step", host_step())]
    }

    fn step(&self, group: &ParamGroup, rows: &mut Rows) -> Result<(), TorchError> {
        rows.step(&Sgd {
            lr: group.lr,
            momentum: group.momentum.unwrap_or_default(),
            dampening: self.dampening,
            weight_decay: group.weight_decay,
            nesterov: self.nesterov.into(),
            maximize: self.maximize.into(),
        })
    }
}
