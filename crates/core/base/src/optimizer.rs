//! The kind `optimizer`: how parameters move.

use std::collections::HashMap;
use std::fmt::Debug;

use fulmen_registry::Kind;
use fulmen_torch::tch::Tensor;

use crate::Result;

/// Parameters that share settings.
#[derive(Debug)]
pub struct ParamGroup {
    /// `default`, or what its pattern is called.
    pub name: String,
    /// `state_dict` names, in order.
    pub names: Vec<String>,
    /// The parameters, in the same order.
    pub params: Vec<Tensor>,
    /// Learning rate of the next step; schedules set it.
    pub lr: f64,
    /// What schedules multiply.
    pub initial_lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Momentum or first beta: what one-cycle cycles. None where there is none.
    pub momentum: Option<f64>,
}

/// Moves parameters by their gradients.
pub trait Optimizer: Debug + Send {
    /// One step, with the gradients that are there.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn step(&mut self) -> Result<()>;

    /// Parameters and what they share.
    fn param_groups(&self) -> &[ParamGroup];

    /// The same, to be changed.
    fn param_groups_mut(&mut self) -> &mut [ParamGroup];

    /// State to be saved, as `<parameter>.<name>`: `fc.weight.exp_avg`.
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
