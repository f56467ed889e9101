//! Bounds of the gradients.

use fulmen_torch::gradients;
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Result;

/// What `gradient_clip_val` bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GradientClipAlgorithm {
    /// The joint 2-norm of all gradients.
    Norm,
    /// Each value.
    Value,
}

/// A bound of the gradients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientClipping {
    /// The bound; none leaves gradients as they are.
    pub gradient_clip_val: Option<f64>,
    /// What it bounds.
    pub gradient_clip_algorithm: GradientClipAlgorithm,
}

impl GradientClipping {
    /// Bounds the gradients of `params`; those that have none are passed over.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn clip(self, params: &[Tensor]) -> Result<()> {
        match (self.gradient_clip_val, self.gradient_clip_algorithm) {
            (None, _) => {}
            (Some(bound), GradientClipAlgorithm::Norm) => drop(gradients::clip_norm(params, bound, 2.0)?),
            (Some(bound), GradientClipAlgorithm::Value) => gradients::clip_value(params, bound)?,
        }
        Ok(())
    }
}
