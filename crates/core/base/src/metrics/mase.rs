//! Errors of forecasts measured by those of the naive forecast.

use std::sync::Arc;

use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::{Kind, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

use super::classes::divide;
use super::errors::numbers;
use super::{Join, State};
use crate::{Computed, Error, Metric, MetricKind, Observation, ObservationKind, Result};

/// Mean absolute error of forecasts, measured by that of the seasonal naive forecast in sample (Hyndman & Koehler 2006).
///
/// The naive forecast of a step is the value `seasonality` steps before. Its error is taken over the series that training saw:
/// given as `scale`, or else, as in the M4 competition, that of the history of each forecast, where the task shows it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeanAbsoluteScaledErrorConfig {
    /// Steps after which the series repeats; 1 where it does not. Used where `scale` is null.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub(crate) seasonality: i64,
    /// Mean absolute error of the naive forecast over the training series, in the unit of the targets; null takes it from the history.
    #[serde(default)]
    pub(crate) scale: Option<f64>,
}

const fn one() -> i64 {
    1
}

component! { MetricKind, "mean_absolute_scaled_error", MeanAbsoluteScaledErrorConfig => build }

fn build(config: &MeanAbsoluteScaledErrorConfig, (): ()) -> Result<Arc<dyn Metric>, BuildError> {
    if config.seasonality < 1 {
        let message = format!("seasonality is {} steps, and must be 1 at least", config.seasonality);
        return Err(BuildError::setting("seasonality", message));
    }
    match config.scale {
        Some(scale) if !(scale > 0.0 && scale.is_finite()) => {
            Err(BuildError::setting("scale", format!("scale is {scale}, and must be above 0")))
        }
        scale => Ok(Arc::new(MeanAbsoluteScaledError { seasonality: config.seasonality, scale })),
    }
}

/// Errors of forecasts measured by those of the naive forecast.
#[derive(Debug)]
struct MeanAbsoluteScaledError {
    seasonality: i64,
    scale: Option<f64>,
}

impl MeanAbsoluteScaledError {
    /// The error of the naive forecast over `history [N, T, …]`: `[N, 1, …] f64`.
    fn naive(&self, history: &Tensor) -> Result<Tensor> {
        let steps = history.size().get(1).copied().unwrap_or(0);
        let pairs = steps - self.seasonality;
        if pairs < 1 {
            return Err(Error::Metric(format!(
                "a history of {steps} steps has no value {} steps before another: show a longer one, or set 'scale'",
                self.seasonality
            )));
        }
        let history = history.f_to_kind(Kind::Double)?;
        let change = history.f_narrow(1, self.seasonality, pairs)?.f_sub(&history.f_narrow(1, 0, pairs)?)?;
        // A history that never changes would divide by 0.
        Ok(change.f_abs()?.f_mean_dim(1, true, None)?.f_clamp_min(f64::EPSILON)?)
    }
}

impl Metric for MeanAbsoluteScaledError {
    fn takes(&self) -> ObservationKind {
        if self.scale.is_some() { ObservationKind::Values } else { ObservationKind::Forecasts }
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        &[("sum", Join::Sum), ("total", Join::Number)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let (predictions, targets) = numbers(observation)?;
        let error = predictions.f_sub(targets)?.f_abs()?.f_to_kind(Kind::Double)?;
        let scaled = match (self.scale, observation) {
            (Some(scale), _) => error.f_div_scalar(scale)?,
            (None, Observation::Forecasts { history, .. }) => error.f_div(&self.naive(history)?)?,
            (None, other) => return Err(other.is_no(ObservationKind::Forecasts)),
        };
        state.add("sum", scaled.f_sum(None)?)?;
        state.count("total", targets.numel() as f64)
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        Ok(Computed::One(divide(state.values("sum")?.into_iter().sum(), state.number("total"))))
    }
}
