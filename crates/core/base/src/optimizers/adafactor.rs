//! Adafactor (Shazeer and Stern 2018, arXiv:1804.04235), as torch has it.

use fulmen_registry::component;
use fulmen_torch::TorchError;
use fulmen_torch::optimizers::{Adafactor, Rows};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::grouped::{Grouped, Rule, host_step, zeros};
use super::groups::{Base, ParamGroupsConfig};
use super::settings;
use crate::OptimizerKind;
use crate::optimizer::ParamGroup;

/// Adafactor: of a matrix's second moments only the means of rows and columns are kept; under torch's names and defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdafactorConfig {
    /// Learning rate.
    #[serde(default = "settings::lr_1e_2")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// The second moment decays by `1 - step^beta2_decay`.
    #[serde(default = "default_beta2_decay")]
    #[schemars(range(max = 0.0))]
    pub beta2_decay: f64,
    /// Floors: of the root of the second moment (null: the machine epsilon of the parameter's type), and of a parameter's root
    /// mean square, by which steps are scaled.
    #[serde(default = "default_eps")]
    pub eps: (Option<f64>, f64),
    /// Where the root mean square of an update is clipped.
    #[serde(default = "default_d")]
    #[schemars(range(min = 1.0))]
    pub d: f64,
    /// Share of each parameter that is taken off per step, times the learning rate.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Parameters with settings of their own.
    #[serde(default)]
    pub param_groups: ParamGroupsConfig,
}

const fn default_beta2_decay() -> f64 {
    -0.8
}

const fn default_eps() -> (Option<f64>, f64) {
    (None, 1e-3)
}

const fn default_d() -> f64 {
    1.0
}

component! { OptimizerKind, "adafactor", AdafactorConfig => |config, parameters| {
    let base = Base { suffix: "", lr: config.lr, weight_decay: config.weight_decay, momentum: None };
    Grouped::build(parameters, &config.param_groups, base, config.clone())
} }

impl Rule for AdafactorConfig {
    fn state(&self, param: &Tensor) -> Vec<(&'static str, Tensor)> {
        let step = ("step", host_step());
        if param.dim() < 2 {
            return vec![("variance", zeros(param)), ("", Tensor::new()), step];
        }
        let shape = param.size();
        let without = |dim: usize| {
            let mut shape = shape.clone();
            shape[dim] = 1;
            Tensor::zeros(shape, (param.kind(), param.device()))
        };
        let last = shape.len() - 1;
        vec![("row_var", without(last)), ("col_var", without(last - 1)), step]
    }

    fn step(&self, group: &ParamGroup, rows: &mut Rows) -> Result<(), TorchError> {
        rows.step(&Adafactor {
            lr: group.lr,
            beta2_decay: self.beta2_decay,
            eps1: self.eps.0.unwrap_or(-1.0),
            eps2: self.eps.1,
            d: self.d,
            weight_decay: group.weight_decay,
        })
    }
}
