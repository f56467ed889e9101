//! How far predictions of numbers are off, as means over all values.

use std::sync::Arc;

use fulmen_registry::component;
use fulmen_torch::tch::{Kind, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

use super::classes::divide;
use super::{Join, State};
use crate::{Computed, Error, Metric, MetricKind, Observation, ObservationKind, Result};

/// What a percentage is of, at least, as in torchmetrics: a target of 0 must not make the error infinite.
const LEAST: f64 = 1.17e-6;

/// Mean of the squared errors.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeanSquaredErrorConfig {}

/// Root of the mean of the squared errors, in the unit of the targets.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RootMeanSquaredErrorConfig {}

/// Mean of the absolute errors, in the unit of the targets.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeanAbsoluteErrorConfig {}

/// Mean of the absolute errors as shares of the targets: 0.1 is ten percent. A target nearer to 0 than 1.17e-6 counts as that.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeanAbsolutePercentageErrorConfig {}

/// Mean of the absolute errors as shares of the mean of prediction and target, each without its sign: from 0 to 2.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SymmetricMeanAbsolutePercentageErrorConfig {}

component! { MetricKind, "mean_squared_error", MeanSquaredErrorConfig => |_, ()| {
    Ok(Arc::new(MeanError(ElementError::Squared)))
} }
component! { MetricKind, "root_mean_squared_error", RootMeanSquaredErrorConfig => |_, ()| {
    Ok(Arc::new(MeanError(ElementError::RootOfSquared)))
} }
component! { MetricKind, "mean_absolute_error", MeanAbsoluteErrorConfig => |_, ()| {
    Ok(Arc::new(MeanError(ElementError::Absolute)))
} }
component! { MetricKind, "mean_absolute_percentage_error", MeanAbsolutePercentageErrorConfig => |_, ()| {
    Ok(Arc::new(MeanError(ElementError::Percentage)))
} }
component! { MetricKind, "symmetric_mean_absolute_percentage_error", SymmetricMeanAbsolutePercentageErrorConfig => |_, ()| {
    Ok(Arc::new(MeanError(ElementError::SymmetricPercentage)))
} }

/// The error of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementError {
    /// Squared.
    Squared,
    /// Squared; the root is taken of the mean.
    RootOfSquared,
    /// Without its sign.
    Absolute,
    /// As a share of the target.
    Percentage,
    /// As a share of the mean of prediction and target.
    SymmetricPercentage,
}

impl ElementError {
    fn of(self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let error = predictions.f_sub(targets)?;
        Ok(match self {
            Self::Squared | Self::RootOfSquared => error.f_square()?,
            Self::Absolute => error.f_abs()?,
            Self::Percentage => error.f_abs()?.f_div(&targets.f_abs()?.f_clamp_min(LEAST)?)?,
            Self::SymmetricPercentage => {
                let of = targets.f_abs()?.f_add(&predictions.f_abs()?)?.f_clamp_min(LEAST)?;
                error.f_abs()?.f_mul_scalar(2.0)?.f_div(&of)?
            }
        })
    }
}

/// The mean of an error over all values.
#[derive(Debug)]
pub struct MeanError(pub ElementError);

impl Metric for MeanError {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Values
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        &[("sum", Join::Sum), ("total", Join::Number)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let (predictions, targets) = numbers(observation)?;
        state.add("sum", self.0.of(&predictions, targets)?.f_sum(Kind::Double)?)?;
        state.count("total", targets.numel() as f64)
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let mean = divide(state.values("sum")?.into_iter().sum(), state.number("total"));
        Ok(Computed::One(if self.0 == ElementError::RootOfSquared { mean.sqrt() } else { mean }))
    }
}

/// Predictions, in f32 at least, and targets of the same shape.
pub(super) fn numbers(observation: &Observation) -> Result<(Tensor, &Tensor)> {
    let (Observation::Values { predictions, targets } | Observation::Forecasts { predictions, targets, .. }) =
        observation
    else {
        return Err(observation.is_no(ObservationKind::Values));
    };
    if predictions.size() != targets.size() {
        let (predictions, targets) = (predictions.size(), targets.size());
        return Err(Error::Metric(format!(
            "predictions {predictions:?} and targets {targets:?} differ in shape"
        )));
    }
    let predictions = match predictions.kind() {
        Kind::Half | Kind::BFloat16 => predictions.f_to_kind(Kind::Float)?,
        _ => predictions.shallow_clone(),
    };
    Ok((predictions, targets))
}
