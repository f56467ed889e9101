//! The kind `optimizer`: how parameters move.

use std::collections::HashMap;
use std::fmt::Debug;

use fulmen_registry::Kind;
use fulmen_torch::tch::Tensor;

use crate::Result;

/// Moves parameters by their gradients.
pub trait Optimizer: Debug + Send {
    /// One step, with the gradients that are there.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn step(&mut self) -> Result<()>;

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate of the next step.
    fn set_learning_rate(&mut self, learning_rate: f64);

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
