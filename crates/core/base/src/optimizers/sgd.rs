//! Stochastic gradient descent, with momentum (Sutskever et al. 2013) as torch has it.

use std::collections::HashMap;

use fulmen_registry::{BuildError, component};
use fulmen_torch::optimizers::{self, fused_sgd};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::state::StateTensors;
use crate::{Optimizer, OptimizerKind, ParamGroup, Result};

/// Stochastic gradient descent, under torch's names and defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SgdConfig {
    /// Learning rate.
    #[serde(default = "default_lr")]
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
}

const fn default_lr() -> f64 {
    1e-3
}

component! { OptimizerKind, "sgd", SgdConfig => |config, parameters| {
    let SgdConfig { lr, momentum, dampening, weight_decay, nesterov } = *config;
    if nesterov && (momentum <= 0.0 || dampening != 0.0) {
        return Err(BuildError::setting("nesterov", "Nesterov's form needs momentum > 0 and dampening = 0"));
    }
    Ok(Box::new(Sgd::new(parameters, optimizers::Sgd { lr, momentum, dampening, weight_decay, nesterov })))
} }

/// Stochastic gradient descent.
#[derive(Debug)]
pub struct Sgd {
    group: [ParamGroup; 1],
    /// None where there is no momentum.
    momentum: Option<StateTensors>,
    started: bool,
    settings: optimizers::Sgd,
}

impl Sgd {
    /// For these parameters, by name.
    pub fn new(parameters: &[(String, Tensor)], settings: optimizers::Sgd) -> Self {
        let group = super::state::group(parameters, settings.lr);
        let momentum =
            (settings.momentum != 0.0).then(|| StateTensors::like("momentum_buffer", &group.params));
        Self { group: [group], momentum, started: false, settings }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self) -> Result<()> {
        let buffers = self.momentum.as_ref().map_or(&[][..], |momentum| &momentum.tensors);
        let settings = optimizers::Sgd { lr: self.group[0].lr, ..self.settings };
        fused_sgd(&self.group[0].params, buffers, settings, !self.started)?;
        self.started = true;
        Ok(())
    }

    fn param_groups(&self) -> &[ParamGroup] {
        &self.group
    }

    fn param_groups_mut(&mut self) -> &mut [ParamGroup] {
        &mut self.group
    }

    fn state_dict(&self) -> Vec<(String, Tensor)> {
        // Before the first step the buffers hold nothing; saving none of them says so.
        let momentum = self.momentum.iter().filter(|_| self.started);
        momentum.flat_map(|momentum| momentum.save(&self.group[0].names)).collect()
    }

    fn load_state_dict(&mut self, saved: &HashMap<String, Tensor>) -> Result<()> {
        self.started = !saved.is_empty();
        match &mut self.momentum {
            Some(momentum) if self.started => momentum.load(&self.group[0].names, saved),
            _ => Ok(()),
        }
    }
}
