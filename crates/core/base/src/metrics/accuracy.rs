//! Share of samples whose class is among the likeliest.

use std::sync::Arc;

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use super::class_score::{ClassScore, Score};
use super::classes::{Average, Scored, divide, ignore_index};
use super::{Join, State};
use crate::{Computed, Metric, MetricKind, Observation, ObservationKind, Result};

/// Share of samples whose class is among the `top_k` likeliest.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccuracyConfig {
    /// How many guesses a sample has.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub(crate) top_k: i64,
    /// `micro`: over all samples. `macro`, `weighted`: the mean over the classes of their shares; `none`: each share.
    #[serde(default = "micro")]
    pub(crate) average: Average,
    /// Samples with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

const fn one() -> i64 {
    1
}

const fn micro() -> Average {
    Average::Micro
}

component! { MetricKind, "accuracy", AccuracyConfig => |config, ()| {
    Ok(match config.average {
        Average::Micro => Arc::new(Accuracy { top_k: config.top_k, ignore_index: config.ignore_index }),
        average => Arc::new(ClassScore {
            score: Score::Accuracy,
            average,
            top_k: config.top_k,
            ignore_index: config.ignore_index,
        }),
    })
} }

/// Share of samples whose class is among the `top_k` likeliest.
///
/// Two sums, where the averages over classes keep three numbers a class: this one is counted in every step by default.
#[derive(Debug)]
pub struct Accuracy {
    top_k: i64,
    ignore_index: i64,
}

impl Accuracy {
    /// With so many guesses a sample.
    pub const fn new(top_k: i64) -> Self {
        Self { top_k, ignore_index: ignore_index() }
    }
}

impl Metric for Accuracy {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Classes
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        &[("hits", Join::Sum), ("total", Join::Sum)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let scored = Scored::of(observation)?;
        let targets = scored.targets();
        let counted = targets.f_ne(self.ignore_index)?;
        let hits = scored.predictions(self.top_k)?.f_eq_tensor(targets)?;
        // No prediction is a negative class: what is left out cannot be a hit then.
        let hits = if self.ignore_index < 0 { hits } else { hits.f_logical_and(&counted)? };
        state.add("hits", hits.f_sum(None)?)?;
        state.add("total", counted.f_sum(None)?)
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let sum = |name| Ok::<_, crate::Error>(state.values(name)?.into_iter().sum());
        Ok(Computed::One(divide(sum("hits")?, sum("total")?)))
    }
}
