//! How well scores rank the samples of a class before all others: areas under exact curves, of every threshold.

use std::sync::Arc;

use fulmen_registry::component;
use fulmen_torch::tch::{Kind, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::classes::{Average, Scored, divide, ignore_index};
use super::state::values;
use super::{Join, State};
use crate::{Computed, Metric, MetricKind, Observation, ObservationKind, Result};

/// Area under the receiver operating characteristic, one class against the rest; exact, of every threshold.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AurocConfig {
    /// How the classes become one value; a class without samples counts as 0 in `macro`, as in torchmetrics.
    #[serde(default)]
    pub(crate) average: RankingAverage,
    /// Samples with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

/// Average precision, the area under the curve of precision over recall, one class against the rest; exact, of every threshold.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AveragePrecisionConfig {
    /// How the classes become one value; a class without samples is left out of it.
    #[serde(default)]
    pub(crate) average: RankingAverage,
    /// Samples with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

/// How the values of the classes become one.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RankingAverage {
    /// The mean of the classes.
    #[default]
    Macro,
    /// The mean of the classes, each weighing as many targets as it has.
    Weighted,
    /// No average: one value a class, by its number.
    None,
}

impl From<RankingAverage> for Average {
    fn from(average: RankingAverage) -> Self {
        match average {
            RankingAverage::Macro => Self::Macro,
            RankingAverage::Weighted => Self::Weighted,
            RankingAverage::None => Self::None,
        }
    }
}

component! { MetricKind, "auroc", AurocConfig => |config, ()| {
    Ok(Arc::new(Ranking { area: Area::Roc, average: config.average.into(), ignore_index: config.ignore_index }))
} }
component! { MetricKind, "average_precision", AveragePrecisionConfig => |config, ()| {
    Ok(Arc::new(Ranking {
        area: Area::PrecisionRecall,
        average: config.average.into(),
        ignore_index: config.ignore_index,
    }))
} }

/// Under which curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Roc,
    PrecisionRecall,
}

/// An area under a curve. Keeps the probabilities of all samples: an exact area can be had of no less.
#[derive(Debug)]
struct Ranking {
    area: Area,
    average: Average,
    ignore_index: i64,
}

impl Metric for Ranking {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Classes
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        // [n, K] or [n] f32, and [n] i64.
        &[("probabilities", Join::Concatenation), ("targets", Join::Concatenation)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let scored = Scored::of(observation)?;
        state.append("probabilities", scored.probabilities()?)?;
        // A copy, since a loader may fill the same tensor anew.
        state.append("targets", scored.targets().f_reshape([-1])?.copy())
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let (Some(probabilities), Some(targets)) = (state.get("probabilities")?, state.get("targets")?)
        else {
            return Ok(Computed::One(f64::NAN));
        };
        let counted = targets.f_ne(self.ignore_index)?.f_nonzero()?.f_squeeze_dim(1)?;
        let (probabilities, targets) =
            (probabilities.f_index_select(0, &counted)?, targets.f_index_select(0, &counted)?);
        if probabilities.dim() == 1 {
            return Ok(Computed::One(self.area.under(&Curve::of(&probabilities, &targets.f_eq(1)?)?)));
        }
        let curves = (0..probabilities.size()[1])
            .map(|class| Curve::of(&probabilities.f_select(1, class)?, &targets.f_eq(class)?))
            .collect::<Result<Vec<_>>>()?;
        let areas: Vec<_> = curves.iter().map(|curve| self.area.under(curve)).collect();
        let support: Vec<_> = curves.iter().map(Curve::positives).collect();
        Ok(self.average.of(&areas, &support, |class| self.area == Area::Roc || support[class] > 0.0))
    }
}

impl Area {
    fn under(self, curve: &Curve) -> f64 {
        let steps = curve.0.windows(2);
        match self {
            Self::Roc => {
                let area = steps.map(|step| (step[1].1 - step[0].1) * (step[0].0 + step[1].0) / 2.0).sum();
                divide(area, curve.positives() * curve.negatives())
            }
            Self::PrecisionRecall => {
                let area = steps
                    .map(|step| (step[1].0 - step[0].0) * divide(step[1].0, step[1].0 + step[1].1))
                    .sum();
                divide(area, curve.positives())
            }
        }
    }
}

/// True and false positives from the highest threshold to the lowest; samples of the same score come in together.
#[derive(Debug)]
struct Curve(Vec<(f64, f64)>);

impl Curve {
    /// `scores [n]` floating, `positive [n] bool`.
    fn of(scores: &Tensor, positive: &Tensor) -> Result<Self> {
        let (scores, order) = scores.f_sort(-1, true)?;
        let positive = values(&positive.f_index_select(0, &order)?.f_to_kind(Kind::Double)?)?;
        let scores = values(&scores)?;
        let (mut points, mut now) = (vec![(0.0, 0.0)], (0.0, 0.0));
        for (place, (score, positive)) in scores.iter().zip(positive).enumerate() {
            now = (now.0 + positive, now.1 + 1.0 - positive);
            if scores.get(place + 1) != Some(score) {
                points.push(now);
            }
        }
        Ok(Self(points))
    }

    fn positives(&self) -> f64 {
        self.0.last().map_or(0.0, |point| point.0)
    }

    fn negatives(&self) -> f64 {
        self.0.last().map_or(0.0, |point| point.1)
    }
}
