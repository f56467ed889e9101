//! How far predictions of numbers are off.

use fulmen_registry::component;
use fulmen_torch::tch::{Kind, Reduction, Tensor, no_grad};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Mean;
use crate::{Metric, MetricKind, Result};

/// Mean of the squared errors.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeanSquaredErrorConfig {}

component! { MetricKind, "mean_squared_error", MeanSquaredErrorConfig => |_, ()| Ok(Box::new(MeanSquaredError::default())) }

/// Mean of the squared errors of all values.
#[derive(Debug, Default)]
pub struct MeanSquaredError(Mean);

impl Metric for MeanSquaredError {
    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<()> {
        no_grad(|| {
            self.0.add(&predictions.f_mse_loss(targets, Reduction::Mean)?, targets.numel() as f64);
            Ok(())
        })
    }

    fn compute(&self) -> Option<f64> {
        self.0.value()
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

/// Mean of the absolute errors.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeanAbsoluteErrorConfig {}

component! { MetricKind, "mean_absolute_error", MeanAbsoluteErrorConfig => |_, ()| Ok(Box::new(MeanAbsoluteError::default())) }

/// Mean of the absolute errors of all values.
#[derive(Debug, Default)]
pub struct MeanAbsoluteError(Mean);

impl Metric for MeanAbsoluteError {
    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<()> {
        no_grad(|| {
            self.0.add(&predictions.f_sub(targets)?.f_abs()?.f_mean(Kind::Float)?, targets.numel() as f64);
            Ok(())
        })
    }

    fn compute(&self) -> Option<f64> {
        self.0.value()
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_means_over_all_values() {
        let (predictions, targets) =
            (Tensor::from_slice(&[1.0_f32, 2.0]), Tensor::from_slice(&[1.0_f32, 5.0]));
        let (mut squared, mut absolute) = (MeanSquaredError::default(), MeanAbsoluteError::default());
        squared.update(&predictions, &targets).unwrap();
        absolute.update(&predictions, &targets).unwrap();
        assert_eq!((squared.compute(), absolute.compute()), (Some(4.5), Some(1.5)));
    }
}
