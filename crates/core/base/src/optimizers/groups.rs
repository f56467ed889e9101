//! Parameter groups by pattern, without decay for norm and bias, with layer-wise rates.

use fulmen_registry::BuildError;
use fulmen_torch::tch::Tensor;
use fulmen_utils::nearest;
use schemars::JsonSchema;
use serde::Deserialize;

use super::layers;
use super::pattern::matches;
use crate::optimizer::ParamGroup;

/// Which parameters have other settings than the rest.
///
/// What is decided first holds: a parameter belongs to the first of `groups` whose pattern matches it; a weight decay that a
/// group states is kept, whatever `decay_norm_and_bias` and `no_weight_decay` say; a rate that a group states as `lr` is kept
/// by `layer_decay`, one that it states as `lr_factor` is multiplied further.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParamGroupsConfig {
    /// Whether parameters of at most one dimension, which are biases and the weights of normalisation layers, are decayed.
    pub decay_norm_and_bias: bool,
    /// Patterns of further parameters that are not decayed, such as `*pos_embed`; `*` stands for any part of a name.
    pub no_weight_decay: Vec<String>,
    /// Layer-wise rates: the learning rate of each block is that of the next one towards the output times this factor.
    /// Blocks are ordered by the numbers in their names (`blocks.3`, `layer2.1`); embeddings and stem come before the first,
    /// everything else without a number, such as the head, after the last and at the full rate.
    #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 1.0))]
    pub layer_decay: Option<f64>,
    /// Groups with settings of their own; the first whose pattern matches a parameter has it.
    pub groups: Vec<GroupConfig>,
}

impl Default for ParamGroupsConfig {
    fn default() -> Self {
        Self { decay_norm_and_bias: true, no_weight_decay: Vec::new(), layer_decay: None, groups: Vec::new() }
    }
}

/// Parameters with settings of their own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// What the group is called where rates are logged. Left out: its pattern.
    #[serde(default)]
    pub name: Option<String>,
    /// Which parameters, by their names in the `state_dict`: `layer*.bias`; `*` stands for any part of a name, `?` for one
    /// character.
    pub pattern: String,
    /// Their learning rate.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub lr: Option<f64>,
    /// Their learning rate, as a multiple of the optimizer's.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub lr_factor: Option<f64>,
    /// Their weight decay.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub weight_decay: Option<f64>,
}

/// What an algorithm moves parameters by that no group says otherwise of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base {
    /// What is put behind a group's name; empty where there is one algorithm only.
    pub(super) suffix: &'static str,
    pub(super) lr: f64,
    pub(super) weight_decay: f64,
    pub(super) momentum: Option<f64>,
}

/// Parts `parameters` into groups of the same settings, each with the index of its base. `base_of` says which of `bases` a
/// parameter has.
pub(super) fn resolve(
    config: &ParamGroupsConfig,
    parameters: &[(String, Tensor)],
    bases: &[Base],
    base_of: impl Fn(&str, &Tensor) -> usize,
) -> Result<Vec<(ParamGroup, usize)>, BuildError> {
    if parameters.is_empty() {
        return Err(BuildError::setting(
            "",
            "the model has no trainable parameter: nothing is left to optimize",
        ));
    }
    check(config, parameters)?;
    let scales = layer_scales(config, parameters)?;
    let mut groups: Vec<(ParamGroup, usize)> = Vec::new();
    for ((name, param), scale) in parameters.iter().zip(scales) {
        let which = base_of(name, param);
        let base = bases[which];
        let own = config.groups.iter().find(|group| matches(&group.pattern, name));
        let stated = own.and_then(|group| group.lr);
        let factor = own.and_then(|group| group.lr_factor).unwrap_or(1.0);
        let lr = stated.unwrap_or_else(|| base.lr * factor * scale.map_or(1.0, |(scale, _)| scale));
        let spared = !config.decay_norm_and_bias && param.dim() <= 1
            || config.no_weight_decay.iter().any(|pattern| matches(pattern, name));
        let decay = own.and_then(|group| group.weight_decay);
        let weight_decay = decay.unwrap_or(if spared { 0.0 } else { base.weight_decay });
        let mut called =
            own.map_or("default", |group| group.name.as_ref().unwrap_or(&group.pattern)).to_owned();
        if let Some((_, depth)) = scale.filter(|_| stated.is_none()) {
            called = if own.is_some() { format!("{called}.layer_{depth}") } else { format!("layer_{depth}") };
        }
        called.push_str(base.suffix);
        if decay.is_none() && spared && base.weight_decay != 0.0 {
            called.push_str(".no_decay");
        }
        let same = |(group, base): &&mut (ParamGroup, usize)| {
            *base == which && group.name == called && group.lr == lr && group.weight_decay == weight_decay
        };
        let group = match groups.iter_mut().find(same) {
            Some((group, _)) => group,
            None => {
                let group = ParamGroup {
                    name: called,
                    names: Vec::new(),
                    params: Vec::new(),
                    lr,
                    initial_lr: lr,
                    weight_decay,
                    momentum: base.momentum,
                };
                groups.push((group, which));
                let last = groups.len() - 1;
                &mut groups[last].0
            }
        };
        group.names.push(name.clone());
        group.params.push(param.shallow_clone());
    }
    Ok(groups)
}

/// A pattern that has no parameter is a slip that would go unnoticed for the whole of a training.
fn check(config: &ParamGroupsConfig, parameters: &[(String, Tensor)]) -> Result<(), BuildError> {
    for (index, group) in config.groups.iter().enumerate() {
        let key = |field: &str| format!("param_groups.groups[{index}].{field}");
        if group.lr.is_some() && group.lr_factor.is_some() {
            return Err(BuildError::setting(
                key("lr_factor"),
                "a group has either lr or lr_factor, not both",
            ));
        }
        has_match(&group.pattern, key("pattern"), parameters)?;
        let earlier = &config.groups[..index];
        let left = parameters.iter().any(|(name, _)| {
            matches(&group.pattern, name) && !earlier.iter().any(|group| matches(&group.pattern, name))
        });
        if !left {
            let message = format!(
                "every parameter that '{}' matches is in an earlier group already: put this group first",
                group.pattern
            );
            return Err(BuildError::setting(key("pattern"), message));
        }
    }
    config.no_weight_decay.iter().enumerate().try_for_each(|(index, pattern)| {
        has_match(pattern, format!("param_groups.no_weight_decay[{index}]"), parameters)
    })
}

/// # Errors
/// When `pattern` matches no parameter: names those that were probably meant.
pub(super) fn has_match(
    pattern: &str,
    key: String,
    parameters: &[(String, Tensor)],
) -> Result<(), BuildError> {
    if parameters.iter().any(|(name, _)| matches(pattern, name)) {
        return Ok(());
    }
    let names = || parameters.iter().map(|(name, _)| name.as_str());
    // The parts of a pattern between its stars are what was meant to be found.
    let pieces = || pattern.split(['*', '?', '.']).filter(|piece| !piece.is_empty());
    let mut near: Vec<&str> = nearest::nearest(pattern, names()).into_iter().collect();
    for name in names() {
        let close =
            pieces().any(|piece| name.contains(piece) || nearest::nearest(piece, name.split('.')).is_some());
        if close && near.len() < 3 && !near.contains(&name) {
            near.push(name);
        }
    }
    let hint = if near.is_empty() {
        let all: Vec<_> = names().take(5).collect();
        format!("parameters are called {}, …", all.join(", "))
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    Err(BuildError::setting(key, format!("no trainable parameter matches '{pattern}': {hint}")))
}

/// For each parameter its share of the rate and its depth; none where rates are not layer-wise.
fn layer_scales(
    config: &ParamGroupsConfig,
    parameters: &[(String, Tensor)],
) -> Result<Vec<Option<(f64, usize)>>, BuildError> {
    let Some(decay) = config.layer_decay else { return Ok(vec![None; parameters.len()]) };
    let (depths, head) = layers::depths(parameters.iter().map(|(name, _)| name.as_str())).ok_or_else(|| {
        BuildError::setting(
            "param_groups.layer_decay",
            "this model has no numbered blocks such as 'blocks.0' to order: use groups with lr_factor instead",
        )
    })?;
    let scale = |depth: usize| (decay.powi(i32::try_from(head - depth).unwrap_or(i32::MAX)), depth);
    Ok(depths.into_iter().map(|depth| Some(scale(depth))).collect())
}
