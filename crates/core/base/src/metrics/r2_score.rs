//! Share of the targets' variance that predictions explain.

use std::sync::Arc;

use fulmen_registry::component;
use fulmen_torch::tch::{Kind, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errors::numbers;
use super::state::values;
use super::{Join, State};
use crate::{Computed, Metric, MetricKind, Observation, ObservationKind, Result};

/// Coefficient of determination, R²: the share of the targets' variance that predictions explain.
///
/// Of targets that never change it is 1 where every prediction is right, else 0; of fewer than two samples it is not a number.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct R2ScoreConfig {
    /// How several values a sample become one.
    #[serde(default)]
    pub(crate) multioutput: Multioutput,
}

/// How several values a sample become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Multioutput {
    /// The mean of the scores.
    #[default]
    UniformAverage,
    /// Their mean, each weighing as its targets vary.
    VarianceWeighted,
    /// Each score, by its number.
    RawValues,
}

component! { MetricKind, "r2_score", R2ScoreConfig => |config, ()| {
    Ok(Arc::new(R2Score { multioutput: config.multioutput }))
} }

/// Share of the targets' variance that predictions explain.
#[derive(Debug)]
struct R2Score {
    multioutput: Multioutput,
}

impl Metric for R2Score {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Values
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        // [3, O] f64: squared errors, targets, squared targets.
        &[("sums", Join::Sum), ("samples", Join::Number)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let (predictions, targets) = numbers(observation)?;
        let samples = targets.size().first().copied().unwrap_or(1);
        if samples == 0 {
            return Ok(());
        }
        let targets = targets.f_reshape([samples, -1])?.f_to_kind(Kind::Double)?;
        let errors = predictions.f_reshape([samples, -1])?.f_to_kind(Kind::Double)?.f_sub(&targets)?;
        let rows = [errors.f_square()?, targets.shallow_clone(), targets.f_square()?];
        state.add("sums", Tensor::f_stack(&rows, 0)?.f_sum_dim_intlist(1, false, None)?)?;
        state.count("samples", samples as f64)
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let samples = state.number("samples");
        if samples < 2.0 {
            return Ok(Computed::One(f64::NAN));
        }
        let sums = state.get("sums")?.map_or(Ok(Vec::new()), |sums| values(&sums))?;
        let outputs = sums.len() / 3;
        let (mut scores, mut variances) = (Vec::new(), Vec::new());
        for output in 0..outputs {
            let [residual, sum, squares] = [0, 1, 2].map(|row| sums[row * outputs + output]);
            let total = squares - sum * sum / samples;
            // Below the rounding of the difference above, nothing varies.
            let total = if total <= 1e-12 * squares { 0.0 } else { total };
            scores.push(match (residual == 0.0, total == 0.0) {
                (true, _) => 1.0,
                (false, true) => 0.0,
                (false, false) => 1.0 - residual / total,
            });
            variances.push(total);
        }
        Ok(match self.multioutput {
            Multioutput::RawValues => {
                let named = scores.iter().enumerate().map(|(output, score)| (output.to_string(), *score));
                Computed::Several(named.collect())
            }
            Multioutput::VarianceWeighted if variances.iter().any(|variance| *variance > 0.0) => {
                let weighted: f64 =
                    scores.iter().zip(&variances).map(|(score, variance)| score * variance).sum();
                Computed::One(weighted / variances.iter().sum::<f64>())
            }
            _ => Computed::One(scores.iter().sum::<f64>() / outputs as f64),
        })
    }
}
