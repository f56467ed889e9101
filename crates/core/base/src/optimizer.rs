//! The kind `optimizer`: how parameters move.

use std::collections::HashMap;
use std::fmt::Debug;

use fulmen_registry::Kind;
use fulmen_torch::tch::Tensor;

use crate::Result;

/// Parameters that share settings, as an entry of torch's `param_groups`.
#[derive(Debug)]
pub struct ParamGroup {
    /// `default`, or what the pattern that made it is called.
    pub name: String,
    /// The parameters' `state_dict` names, in order.
    pub names: Vec<String>,
    /// The parameters themselves, in the same order. Changing the list changes nothing: it is there to be read.
    pub params: Vec<Tensor>,
    /// Learning rate of the next step; schedulers set it.
    pub lr: f64,
    /// Learning rate of the configuration, which schedulers multiply.
    pub initial_lr: f64,
    /// Weight decay of the next step.
    pub weight_decay: f64,
    /// Momentum, or the first of the betas, of the next step: what one-cycle cycles. None where the algorithm has none.
    pub momentum: Option<f64>,
}

/// Moves parameters by their gradients.
pub trait Optimizer: Debug + Send {
    /// One step, with the gradients that are there. A parameter without one stays as it is, and so does its state.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn step(&mut self) -> Result<()>;

    /// The groups of parameters, at least one.
    fn param_groups(&self) -> &[ParamGroup];

    /// The groups, for their rates to be set.
    fn param_groups_mut(&mut self) -> &mut [ParamGroup];

    /// State to be saved, as `<parameter>.<name>`: `fc.weight.exp_avg`. With the parameters and the groups' rates it is all
    /// that the next step depends on. The tensors are those in use, not copies.
    fn state_dict(&self) -> Vec<(String, Tensor)>;

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape: it was saved for another model or optimizer.
    fn load_state_dict(&mut self, state: &HashMap<String, Tensor>) -> Result<()>;
}

/// The kind `optimizer`, built for named parameters.
#[derive(Debug)]
pub struct OptimizerKind;

impl Kind for OptimizerKind {
    const NAME: &'static str = "optimizer";
    type Product = Box<dyn Optimizer>;
    type Context<'context> = &'context [(String, Tensor)];
}
