//! The loss scale of 16-mixed: gradients too small for f16 are carried as larger ones.

use fulmen_torch::TorchError;
use fulmen_torch::gradients::{self, ScaleSettings};
use fulmen_torch::tch::{Device, Kind, Tensor, no_grad};
use serde_json::{Value, json};

/// Dynamic loss scaling (Micikevicius et al. 2017, arXiv:1710.03740), with the settings of torch's `GradScaler`.
#[derive(Debug)]
pub struct GradientScaler {
    /// `[1] f32`.
    scale: Tensor,
    /// `[1] i32`, steps since the scale changed.
    growth_tracker: Tensor,
    /// `[1] f32`, 1 where a gradient of the step at hand is not finite.
    found_inf: Tensor,
}

const START: f64 = 65536.0;
const SETTINGS: ScaleSettings =
    ScaleSettings { growth_factor: 2.0, backoff_factor: 0.5, growth_interval: 2000 };

impl GradientScaler {
    /// For gradients on `device`.
    pub fn new(device: Device) -> Self {
        Self {
            scale: Tensor::full([1], START, (Kind::Float, device)),
            growth_tracker: Tensor::zeros([1], (Kind::Int, device)),
            found_inf: Tensor::zeros([1], (Kind::Float, device)),
        }
    }

    /// The loss (`[] f32`) as it is to be propagated.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn scale(&self, loss: &Tensor) -> Result<Tensor, TorchError> {
        loss.f_mul(&self.scale.squeeze()).map_err(|error| TorchError(error.to_string()))
    }

    /// Brings the gradients of `params` back to their own size, and notes whether all of them are finite.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn unscale(&mut self, params: &[Tensor]) -> Result<(), TorchError> {
        gradients::scale_and_check(params, &self.scale.reciprocal(), &self.found_inf)
    }

    /// Moves the scale on before a step; false where the step is to be left out. Waits for the device.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn update(&mut self) -> Result<bool, TorchError> {
        let finite = self.found_inf.double_value(&[0]) == 0.0;
        gradients::amp_update_scale(&self.scale, &self.growth_tracker, &self.found_inf, SETTINGS)?;
        let _ = no_grad(|| self.found_inf.zero_());
        Ok(finite)
    }

    /// What a checkpoint keeps.
    pub fn state_dict(&self) -> Value {
        json!({"scale": self.scale.double_value(&[0]), "growth_tracker": self.growth_tracker.int64_value(&[0])})
    }

    /// Goes on from what a checkpoint kept.
    ///
    /// # Errors
    /// When it is not of a scaler.
    pub fn load_state_dict(&mut self, state: &Value) -> Result<(), TorchError> {
        let (Some(scale), Some(tracker)) = (state["scale"].as_f64(), state["growth_tracker"].as_i64()) else {
            return Err(TorchError(format!("the saved loss scale cannot be read: {state}")));
        };
        no_grad(|| {
            let _ = self.scale.fill_(scale);
            let _ = self.growth_tracker.fill_(tracker);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(scaler: &GradientScaler, slope: f64) -> Tensor {
        let param = Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        scaler.scale(&(&param * slope).sum(Kind::Float)).unwrap().backward();
        param
    }

    fn step(scaler: &mut GradientScaler, slope: f64) -> (bool, f64) {
        let param = gradient(scaler, slope);
        scaler.unscale(&[param.shallow_clone()]).unwrap();
        let value = param.grad().double_value(&[0]);
        (scaler.update().unwrap(), value)
    }

    #[test]
    fn a_gradient_that_overflows_leaves_its_step_out_and_halves_the_scale() {
        let mut scaler = GradientScaler::new(Device::Cpu);
        assert_eq!(step(&mut scaler, 0.25), (true, 0.25));
        assert!(!step(&mut scaler, f64::INFINITY).0);
        assert_eq!(scaler.state_dict()["scale"], 32768.0);
        assert_eq!(step(&mut scaler, 0.25), (true, 0.25));
    }

    #[test]
    fn the_scale_doubles_after_two_thousand_steps_counted_over_a_resume() {
        let mut scaler = GradientScaler::new(Device::Cpu);
        scaler.load_state_dict(&json!({"scale": 1024.0, "growth_tracker": 1998})).unwrap();
        step(&mut scaler, 1.0);
        assert_eq!(scaler.state_dict(), json!({"scale": 1024.0, "growth_tracker": 1999}));
        step(&mut scaler, 1.0);
        assert_eq!(scaler.state_dict(), json!({"scale": 2048.0, "growth_tracker": 0}));
        assert!(scaler.load_state_dict(&json!({})).is_err());
    }
}
