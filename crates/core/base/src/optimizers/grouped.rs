//! What all optimizers share: groups, state by name, a step over the groups.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use fulmen_registry::BuildError;
use fulmen_torch::TorchError;
use fulmen_torch::optimizers::Rows;
use fulmen_torch::tch::{Device, Kind, Tensor, no_grad};

use super::groups::{self, Base, ParamGroupsConfig};
use crate::optimizer::ParamGroup;
use crate::{Error, Optimizer, Result};

/// One algorithm.
pub(super) trait Rule: Debug + Send + Sync {
    /// What is kept for `param`, by name, as it is before the first step: as many tensors for each parameter, undefined ones
    /// among them where a parameter needs none.
    fn state(&self, param: &Tensor) -> Vec<(&'static str, Tensor)>;

    /// One step on a group, with the group's own rates.
    fn step(&self, group: &ParamGroup, rows: &mut Rows) -> Result<(), TorchError>;
}

/// An optimizer of one or more algorithms, each over groups of parameters.
#[derive(Debug)]
pub(super) struct Grouped {
    groups: Vec<ParamGroup>,
    /// One for each of `groups`.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    rule: Arc<dyn Rule>,
    rows: Rows,
    /// The names of each parameter's state.
    states: Vec<Vec<&'static str>>,
}

impl Grouped {
    /// One algorithm for all parameters.
    pub(super) fn build(
        parameters: &[(String, Tensor)],
        config: &ParamGroupsConfig,
        base: Base,
        rule: impl Rule + 'static,
    ) -> Result<Box<dyn Optimizer>, BuildError> {
        Self::of_several(parameters, config, &[(base, Arc::new(rule))], |_, _| 0)
    }

    /// Several algorithms; `which` says by which of them a parameter moves.
    pub(super) fn of_several(
        parameters: &[(String, Tensor)],
        config: &ParamGroupsConfig,
        rules: &[(Base, Arc<dyn Rule>)],
        which: impl Fn(&str, &Tensor) -> usize,
    ) -> Result<Box<dyn Optimizer>, BuildError> {
        let bases: Vec<Base> = rules.iter().map(|(base, _)| *base).collect();
        let (mut groups, mut parts) = (Vec::new(), Vec::new());
        for (group, index) in groups::resolve(config, parameters, &bases, which)? {
            let rule = Arc::clone(&rules[index].1);
            let (mut states, mut rows) = (Vec::new(), Vec::new());
            for param in &group.params {
                let (names, tensors) = no_grad(|| rule.state(param)).into_iter().unzip();
                states.push(names);
                rows.push((param.shallow_clone(), tensors));
            }
            parts.push(Part { rows: Rows::new(rows).map_err(BuildError::failed)?, rule, states });
            groups.push(group);
        }
        Ok(Box::new(Self { groups, parts }))
    }

    /// Every tensor that is kept, under the name that it is saved by.
    fn states(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.groups.iter().zip(&self.parts).flat_map(|(group, part)| {
            group.names.iter().zip(&part.states).enumerate().flat_map(move |(row, (param, states))| {
                states.iter().enumerate().filter_map(move |(index, state)| {
                    let tensor = part.rows.state(row, index).filter(|tensor| tensor.defined())?;
                    Some((format!("{param}.{state}"), tensor))
                })
            })
        })
    }
}

impl Optimizer for Grouped {
    fn step(&mut self) -> Result<()> {
        for (group, Part { rule, rows, .. }) in self.groups.iter().zip(&mut self.parts) {
            rule.step(group, rows)?;
        }
        Ok(())
    }

    fn param_groups(&self) -> &[ParamGroup] {
        &self.groups
    }

    fn param_groups_mut(&mut self) -> &mut [ParamGroup] {
        &mut self.groups
    }

    fn state_dict(&self) -> Vec<(String, Tensor)> {
        self.states().map(|(name, tensor)| (name, tensor.shallow_clone())).collect()
    }

    fn load_state_dict(&mut self, saved: &HashMap<String, Tensor>) -> Result<()> {
        for (key, tensor) in self.states() {
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
            no_grad(|| tensor.shallow_clone().f_copy_(found))?;
        }
        Ok(())
    }
}

/// Zeros in the shape, type and memory layout of `param`.
pub(super) fn zeros(param: &Tensor) -> Tensor {
    param.zeros_like()
}

/// A count of steps, `[] f32`, where a fused kernel reads it: beside the parameter.
pub(super) fn device_step(param: &Tensor) -> Tensor {
    Tensor::zeros([], (Kind::Float, param.device()))
}

/// A count of steps, `[] f32`, where the host reads it without waiting for the device.
pub(super) fn host_step() -> Tensor {
    Tensor::zeros([], (Kind::Float, Device::Cpu))
}
