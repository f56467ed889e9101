//! The loss scale of 16-mixed: gradients too small for f16 are carried as larger ones.

use fulmen_torch::TorchError;
use fulmen_torch::tch::{Tensor, no_grad};
use serde_json::{Value, json};

/// Dynamic loss scaling (Micikevicius et al. 2017, arXiv:1710.03740), with the settings of torch's `GradScaler`.
#[derive(Debug)]
pub struct GradientScaler {
    scale: f64,
    /// Steps since the scale changed.
    steady: u64,
    finite: bool,
}

const START: f64 = 65536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;
const GROWTH_INTERVAL: u64 = 2000;

impl Default for GradientScaler {
    fn default() -> Self {
        Self { scale: START, steady: 0, finite: true }
    }
}

impl GradientScaler {
    /// The loss (`[] f32`) as it is to be propagated.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn scale(&self, loss: &Tensor) -> Result<Tensor, TorchError> {
        Ok(loss * self.scale)
    }

    /// Brings the gradients of `params` back to their own size, and notes whether all of them are finite.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn unscale(&mut self, params: &[Tensor]) -> Result<(), TorchError> {
        let mut finite = true;
        no_grad(|| {
            for param in params {
                let mut gradient = param.grad();
                if gradient.defined() {
                    let _ = gradient.g_mul_scalar_(1.0 / self.scale);
                    finite &= gradient.isfinite().all().int64_value(&[]) != 0;
                }
            }
        });
        self.finite = finite;
        Ok(())
    }

    /// Moves the scale on after a step; false where the step is to be left out.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn update(&mut self) -> Result<bool, TorchError> {
        if !self.finite {
            (self.scale, self.steady) = (self.scale * BACKOFF, 0);
            return Ok(false);
        }
        self.steady += 1;
        if self.steady == GROWTH_INTERVAL {
            (self.scale, self.steady) = (self.scale * GROWTH, 0);
        }
        Ok(true)
    }

    /// What a checkpoint keeps.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn state_dict(&self) -> Result<Value, TorchError> {
        Ok(json!({"scale": self.scale, "growth_tracker": self.steady}))
    }

    /// Goes on from what a checkpoint kept.
    ///
    /// # Errors
    /// When it is not of a scaler.
    pub fn load_state_dict(&mut self, state: &Value) -> Result<(), TorchError> {
        let (Some(scale), Some(steady)) = (state["scale"].as_f64(), state["growth_tracker"].as_u64()) else {
            return Err(TorchError(format!("the saved loss scale cannot be read: {state}")));
        };
        (self.scale, self.steady) = (scale, steady);
        Ok(())
    }
}
