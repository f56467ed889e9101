//! How often each class was taken for each.

use std::sync::Arc;

use fulmen_registry::component;
use fulmen_torch::tch::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class_score::add_at;
use super::classes::{Scored, divide, ignore_index};
use super::{Join, State};
use crate::{Computed, Metric, MetricKind, Observation, ObservationKind, Result};

/// How often each class was taken for each: the value `2_0` says how often class 2 was taken for class 0.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfusionMatrixConfig {
    /// `none`: counts. Else shares: of the samples of each class (`true`), of each prediction (`pred`), of `all`.
    #[serde(default)]
    pub(crate) normalize: Normalize,
    /// Samples with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

/// Of what the entries are shares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Normalize {
    /// They are counts.
    #[default]
    None,
    /// Of the samples of the class.
    True,
    /// Of the predictions of the class.
    Pred,
    /// Of all samples.
    All,
}

component! { MetricKind, "confusion_matrix", ConfusionMatrixConfig => |config, ()| {
    Ok(Arc::new(ConfusionMatrix { normalize: config.normalize, ignore_index: config.ignore_index }))
} }

/// How often each class was taken for each.
#[derive(Debug)]
struct ConfusionMatrix {
    normalize: Normalize,
    ignore_index: i64,
}

impl Metric for ConfusionMatrix {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Classes
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        // [K × K] i64, a row a target.
        &[("counts", Join::Sum)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let scored = Scored::of(observation)?;
        let classes = scored.classes();
        let targets = scored.targets().f_reshape([-1])?;
        let counted = targets.f_ne(self.ignore_index)?;
        let predictions = scored.predictions(1)?.f_reshape([-1])?;
        let places = targets.f_mul_scalar(classes)?.f_add(&predictions)?.f_mul(&counted)?;
        add_at(state, "counts", classes * classes, &places, &counted.f_to_kind(Kind::Int64)?)
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let counts = state.values("counts")?;
        let classes = counts.len().isqrt();
        let total: f64 = counts.iter().sum();
        let row = |target: usize| counts[target * classes..][..classes].iter().sum();
        let column = |predicted: usize| counts.iter().skip(predicted).step_by(classes).sum();
        let named = counts.iter().enumerate().map(|(place, count)| {
            let (target, predicted) = (place / classes, place % classes);
            let value = match self.normalize {
                Normalize::None => *count,
                Normalize::True => divide(*count, row(target)),
                Normalize::Pred => divide(*count, column(predicted)),
                Normalize::All => divide(*count, total),
            };
            (format!("{target}_{predicted}"), value)
        });
        Ok(Computed::Several(named.collect()))
    }
}
