//! The kind `metric`: a number that says how good predictions are, exact over batches of uneven size.

use std::fmt::Debug;

use fulmen_registry::Kind;
use fulmen_torch::tch::Tensor;

use crate::Result;

/// Counts over batches, then says one number.
///
/// State stays on the device of the predictions: nothing waits for the device before [`Self::compute`].
pub trait Metric: Debug + Send {
    /// Counts a batch: predictions as the task gives them, targets beside them.
    ///
    /// # Errors
    /// When the two do not fit.
    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<()>;

    /// The metric over all batches since [`Self::reset`]; none before the first.
    fn compute(&self) -> Option<f64>;

    /// Forgets all batches.
    fn reset(&mut self);
}

/// The kind `metric`.
#[derive(Debug)]
pub struct MetricKind;

impl Kind for MetricKind {
    const NAME: &'static str = "metric";
    type Product = Box<dyn Metric>;
    type Context<'context> = ();
}
