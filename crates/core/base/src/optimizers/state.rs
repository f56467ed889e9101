//! One tensor a parameter, kept between steps.

use std::collections::HashMap;

use fulmen_torch::tch::{Tensor, no_grad};

use crate::{Error, Result};

/// One tensor a parameter under one name, such as `exp_avg`.
#[derive(Debug)]
pub(super) struct StateTensors {
    name: &'static str,
    pub(super) tensors: Vec<Tensor>,
}

impl StateTensors {
    /// Zeros in the shape and memory layout of each parameter.
    pub(super) fn like(name: &'static str, params: &[Tensor]) -> Self {
        Self { name, tensors: no_grad(|| params.iter().map(Tensor::zeros_like).collect()) }
    }

    /// One zero for each parameter, `[] f32`.
    pub(super) fn counts(name: &'static str, params: &[Tensor]) -> Self {
        let zero = |param: &Tensor| Tensor::zeros([], (fulmen_torch::tch::Kind::Float, param.device()));
        Self { name, tensors: params.iter().map(zero).collect() }
    }

    /// `<parameter>.<name>` and the tensor, for each parameter.
    pub(super) fn save<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = (String, Tensor)> + 'a {
        names
            .iter()
            .zip(&self.tensors)
            .map(|(param, tensor)| (format!("{param}.{}", self.name), tensor.shallow_clone()))
    }

    /// Copies what was saved into place.
    pub(super) fn load(&mut self, names: &[String], saved: &HashMap<String, Tensor>) -> Result<()> {
        for (param, tensor) in names.iter().zip(&mut self.tensors) {
            let key = format!("{param}.{}", self.name);
            let found = saved.get(&key).ok_or_else(|| {
                Error::Torch(format!(
                    "the saved optimizer has no '{key}': it was saved for another model or optimizer"
                ))
            })?;
            if found.size() != tensor.size() {
                let (found, wanted) = (found.size(), tensor.size());
                return Err(Error::Torch(format!(
                    "the saved optimizer's '{key}' is {found:?}, not {wanted:?}"
                )));
            }
            no_grad(|| tensor.f_copy_(found))?;
        }
        Ok(())
    }
}

/// All parameters in one group.
pub(super) fn group(parameters: &[(String, Tensor)], lr: f64) -> crate::ParamGroup {
    let (names, params) =
        parameters.iter().map(|(name, param)| (name.clone(), param.shallow_clone())).unzip();
    crate::ParamGroup {
        name: "default".to_owned(),
        names,
        params,
        lr,
        initial_lr: lr,
        weight_decay: 0.0,
        momentum: None,
    }
}
