//! How many classes a model seems to choose between.

use std::sync::Arc;

use fulmen_registry::component;
use fulmen_torch::tch::{Kind, Reduction, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

use super::classes::{Scored, divide, ignore_index};
use super::{Join, State};
use crate::{Computed, Error, Metric, MetricKind, Observation, ObservationKind, Result};

/// The exponential of the mean cross-entropy, in nats, over all tokens.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerplexityConfig {
    /// Tokens with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

component! { MetricKind, "perplexity", PerplexityConfig => |config, ()| {
    Ok(Arc::new(Perplexity { ignore_index: config.ignore_index }))
} }

/// The exponential of the mean cross-entropy.
#[derive(Debug)]
struct Perplexity {
    ignore_index: i64,
}

impl Metric for Perplexity {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Classes
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        &[("nats", Join::Sum), ("total", Join::Sum)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let Scored::Multiclass(logits, targets) = Scored::of(observation)? else {
            return Err(Error::Metric("perplexity takes one score a class, [N, K, …]".to_owned()));
        };
        let nats = logits.f_to_kind(Kind::Float)?.f_cross_entropy_loss(
            targets,
            None::<Tensor>,
            Reduction::None,
            self.ignore_index,
            0.0,
        )?;
        state.add("nats", nats.f_sum(Kind::Double)?)?;
        state.add("total", targets.f_ne(self.ignore_index)?.f_sum(None)?)
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let sum = |name| Ok::<f64, Error>(state.values(name)?.into_iter().sum());
        Ok(Computed::One(divide(sum("nats")?, sum("total")?).exp()))
    }
}
