//! Muon (Jordan 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982), with AdamW for what is no matrix.

use std::sync::Arc;

use fulmen_registry::component;
use fulmen_torch::TorchError;
use fulmen_torch::optimizers::{Muon, Rows};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::adam::AdamRule;
use super::grouped::{Grouped, Rule, zeros};
use super::groups::{self, Base, ParamGroupsConfig};
use super::pattern::matches;
use super::settings;
use crate::OptimizerKind;
use crate::optimizer::ParamGroup;

/// Muon for parameters of two dimensions, AdamW for all others; under the names and defaults of torch's Muon.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MuonConfig {
    /// Learning rate.
    #[serde(default = "settings::lr_1e_3")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Share of each parameter that is taken off per step, times the learning rate.
    #[serde(default = "default_weight_decay")]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Momentum factor.
    #[serde(default = "default_momentum")]
    #[schemars(range(min = 0.0))]
    pub momentum: f64,
    /// Nesterov's form of the momentum.
    #[serde(default = "settings::yes")]
    pub nesterov: bool,
    /// Coefficients of the Newton–Schulz polynomial `aX + b(XXᵀ)X + c(XXᵀ)²X`.
    #[serde(default = "default_ns_coefficients")]
    pub ns_coefficients: (f64, f64, f64),
    /// Floor of an update's norm, by which it is divided.
    #[serde(default = "default_eps")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// Newton–Schulz iterations a step.
    #[serde(default = "default_ns_steps")]
    #[schemars(range(min = 1, max = 99))]
    pub ns_steps: u8,
    /// How the rate follows the shape of a matrix.
    #[serde(default)]
    pub adjust_lr_fn: AdjustLr,
    /// AdamW for parameters that are no matrix, and for the matrices that its patterns name.
    #[serde(default)]
    pub adamw: AuxiliaryAdamWConfig,
    /// Parameters with settings of their own.
    #[serde(default)]
    pub param_groups: ParamGroupsConfig,
}

/// How Muon's rate follows the shape of a matrix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdjustLr {
    /// √max(1, rows/columns), as Jordan has it.
    #[default]
    Original,
    /// 0.2·√max(rows, columns), as Liu et al. have it: updates as large as AdamW's, so that its rate and decay can be kept.
    MatchRmsAdamw,
}

/// AdamW beside Muon.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuxiliaryAdamWConfig {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// Decay of the running averages of gradient and squared gradient.
    pub betas: (f64, f64),
    /// Added to the denominator.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// Share of each parameter that is taken off per step, times the learning rate.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Which matrices it moves too: embeddings and the output layer are better off with it (`*embed*`, `lm_head.*`).
    pub patterns: Vec<String>,
}

impl Default for AuxiliaryAdamWConfig {
    fn default() -> Self {
        Self { lr: 3e-4, betas: (0.9, 0.95), eps: 1e-10, weight_decay: 0.0, patterns: Vec::new() }
    }
}

const fn default_weight_decay() -> f64 {
    0.1
}

const fn default_momentum() -> f64 {
    0.95
}

const fn default_ns_coefficients() -> (f64, f64, f64) {
    (3.4445, -4.775, 2.0315)
}

const fn default_eps() -> f64 {
    1e-7
}

const fn default_ns_steps() -> u8 {
    5
}

component! { OptimizerKind, "muon", MuonConfig => |config, parameters| {
    let adamw = &config.adamw;
    settings::check_betas("adamw.betas", adamw.betas)?;
    for (index, pattern) in adamw.patterns.iter().enumerate() {
        groups::has_match(pattern, format!("adamw.patterns[{index}]"), parameters)?;
    }
    let muon = Base { suffix: "", lr: config.lr, weight_decay: config.weight_decay, momentum: Some(config.momentum) };
    let other =
        Base { suffix: ".adamw", lr: adamw.lr, weight_decay: adamw.weight_decay, momentum: Some(adamw.betas.0) };
    let rule = AdamRule { beta2: adamw.betas.1, eps: adamw.eps, decoupled: true, amsgrad: false, maximize: false };
    let rules: [(Base, Arc<dyn Rule>); 2] = [(muon, Arc::new(config.clone())), (other, Arc::new(rule))];
    Grouped::of_several(parameters, &config.param_groups, &rules, |name, param| {
        usize::from(param.dim() != 2 || adamw.patterns.iter().any(|pattern| matches(pattern, name)))
    })
} }

impl Rule for MuonConfig {
    fn state(&self, param: &Tensor) -> Vec<(&'static str, Tensor)> {
        vec![("momentum_buffer", zeros(param))]
    }

    fn step(&self, group: &ParamGroup, rows: &mut Rows) -> Result<(), TorchError> {
        let (a, b, c) = self.ns_coefficients;
        rows.step(&Muon {
            lr: group.lr,
            momentum: group.momentum.unwrap_or_default(),
            weight_decay: group.weight_decay,
            eps: self.eps,
            a,
            b,
            c,
            ns_steps: self.ns_steps.into(),
            nesterov: self.nesterov.into(),
            match_rms_adamw: (self.adjust_lr_fn == AdjustLr::MatchRmsAdamw).into(),
        })
    }
}
