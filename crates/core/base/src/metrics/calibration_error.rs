//! How far confidence is from the share that is right.

use std::sync::Arc;

use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::{Kind, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::classes::{Scored, divide, ignore_index};
use super::{Join, State};
use crate::{Computed, Metric, MetricKind, Observation, ObservationKind, Result};

/// How far the confidence of predictions is from the share of them that is right (Naeini et al. 2015, Guo et al. 2017, arXiv:1706.04599).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CalibrationErrorConfig {
    /// Into how many bins of the same width confidences fall.
    #[serde(default = "bins")]
    #[schemars(range(min = 1))]
    pub(crate) n_bins: i64,
    /// `l1`: the expected error, ECE. `l2`: its root mean square. `max`: that of the worst bin, MCE.
    #[serde(default)]
    pub(crate) norm: Norm,
    /// Samples with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

const fn bins() -> i64 {
    15
}

/// How the bins become one value.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Norm {
    /// The mean of the differences, by samples.
    #[default]
    L1,
    /// The root of the mean of their squares, by samples.
    L2,
    /// The largest.
    Max,
}

component! { MetricKind, "calibration_error", CalibrationErrorConfig => |config, ()| {
    if config.n_bins < 1 {
        return Err(BuildError::setting("n_bins", format!("n_bins is {}, and must be 1 at least", config.n_bins)));
    }
    Ok(Arc::new(CalibrationError { n_bins: config.n_bins, norm: config.norm, ignore_index: config.ignore_index }))
} }

/// How far confidence is from the share that is right.
#[derive(Debug)]
struct CalibrationError {
    n_bins: i64,
    norm: Norm,
    ignore_index: i64,
}

impl Metric for CalibrationError {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Classes
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        // [bins + 1, 3] f64: samples, their confidences, those that are right. The last bin is of certainty itself.
        &[("bins", Join::Sum)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let scored = Scored::of(observation)?;
        let targets = scored.targets().f_reshape([-1])?;
        let counted = targets.f_ne(self.ignore_index)?;
        let (confidence, right) = match &scored {
            Scored::Binary(..) => (scored.probabilities()?, targets.f_eq(1)?),
            Scored::Multiclass(..) => {
                let (confidence, likeliest) = scored.probabilities()?.f_max_dim(1, false)?;
                (confidence, likeliest.f_eq_tensor(&targets)?)
            }
        };
        let device = confidence.device();
        let edges = Tensor::f_linspace(0.0, 1.0, self.n_bins + 1, (Kind::Float, device))?;
        let bin = confidence.f_bucketize(&edges, false, true)?.f_sub_scalar(1)?;
        let counted = counted.f_to_kind(Kind::Double)?;
        let columns = [
            counted.shallow_clone(),
            confidence.f_to_kind(Kind::Double)?.f_mul(&counted)?,
            right.f_to_kind(Kind::Double)?.f_mul(&counted)?,
        ];
        // A product rather than an addition by index, which on a GPU would add in any order.
        let bins = Tensor::f_arange(self.n_bins + 1, (Kind::Int64, device))?.f_unsqueeze(1)?;
        let member = bin.f_unsqueeze(0)?.f_eq_tensor(&bins)?.f_to_kind(Kind::Double)?;
        state.add("bins", member.f_matmul(&Tensor::f_stack(&columns, 1)?)?)
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let bins = state.values("bins")?;
        let total: f64 = bins.iter().step_by(3).sum();
        let gaps = bins.chunks_exact(3).map(|bin| {
            let [samples, confidence, right] = [bin[0], bin[1], bin[2]];
            (divide(right - confidence, samples).abs(), divide(samples, total))
        });
        Ok(Computed::One(match self.norm {
            Norm::L1 => gaps.map(|(gap, share)| gap * share).sum(),
            Norm::L2 => gaps.map(|(gap, share)| gap * gap * share).sum::<f64>().sqrt(),
            Norm::Max => gaps.map(|(gap, _)| gap).fold(0.0, f64::max),
        }))
    }
}
