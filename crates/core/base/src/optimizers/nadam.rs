//! NAdam: Adam with Nesterov momentum (Dozat 2016).

use fulmen_registry::component;
use fulmen_torch::TorchError;
use fulmen_torch::optimizers::{NAdam, Rows};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::grouped::{Grouped, Rule, host_step, zeros};
use super::groups::{Base, ParamGroupsConfig};
use super::settings;
use crate::OptimizerKind;
use crate::optimizer::ParamGroup;

/// Adam with Nesterov momentum, under torch's names and defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NAdamConfig {
    /// Learning rate.
    #[serde(default = "default_lr")]
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
    /// How fast the momentum approaches the first of `betas`.
    #[serde(default = "default_momentum_decay")]
    #[schemars(range(min = 0.0))]
    pub momentum_decay: f64,
    /// Whether weight decay is taken off the parameters as in AdamW, rather than added to the gradient.
    #[serde(default)]
    pub decoupled_weight_decay: bool,
    /// Parameters with settings of their own.
    #[serde(default)]
    pub param_groups: ParamGroupsConfig,
}

const fn default_lr() -> f64 {
    2e-3
}

const fn default_momentum_decay() -> f64 {
    4e-3
}

component! { OptimizerKind, "nadam", NAdamConfig => |config, parameters| {
    settings::check_betas("betas", config.betas)?;
    let base = Base { suffix: "", lr: config.lr, weight_decay: config.weight_decay, momentum: Some(config.betas.0) };
    Grouped::build(parameters, &config.param_groups, base, config.clone())
} }

impl Rule for NAdamConfig {
    fn state(&self, param: &Tensor) -> Vec<(&'static str, Tensor)> {
        vec![
            ("exp_avg", zeros(param)),
            ("exp_avg_sq", zeros(param)),
            ("step", host_step()),
            ("mu_product", host_step().fill(1.0)),
        ]
    }

    fn step(&self, group: &ParamGroup, rows: &mut Rows) -> Result<(), TorchError> {
        rows.step(&NAdam {
            lr: group.lr,
            beta1: group.momentum.unwrap_or_default(),
            beta2: self.betas.1,
            eps: self.eps,
            weight_decay: group.weight_decay,
            momentum_decay: self.momentum_decay,
            decoupled: self.decoupled_weight_decay.into(),
        })
    }
}
