//! The next token of each token.

use std::sync::Arc;

use fulmen_contracts::{Schema, schema};
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::{Kind, Reduction, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::metrics::{self, Metrics, NamedMetrics};
use crate::metrics::Accuracy;
use crate::task::TaskContext;
use crate::{Batch, Metric, Observation, ObservationKind, Result, Task, TaskKind, Tensors};

/// The next token of each token: cross-entropy of the network's `logits` with the batch's `target`, in nats a token.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LanguageModelingConfig {
    /// Metrics by name, beside the loss; each counts tokens. Left out: `accuracy`.
    #[serde(default)]
    pub metrics: Option<Metrics>,
}

component! { TaskKind, "language_modeling", LanguageModelingConfig => LanguageModeling::build }

/// The next token of each token.
#[derive(Debug)]
pub struct LanguageModeling {
    metrics: NamedMetrics,
}

impl LanguageModeling {
    fn build(config: &LanguageModelingConfig, context: TaskContext<'_>) -> Result<Box<dyn Task>, BuildError> {
        let default = || -> NamedMetrics { vec![("accuracy".to_owned(), Arc::new(Accuracy::new(1)))] };
        let metrics =
            metrics::build(config.metrics.as_ref(), context.registry, ObservationKind::Classes, default)?;
        Ok(Box::new(Self { metrics }))
    }
}

impl Task for LanguageModeling {
    fn targets(&self) -> Schema {
        schema! { target: i64["B", "T"] }
    }

    fn outputs(&self) -> Schema {
        // Classes on the last axis, as the linear head of a language model leaves them.
        schema! { logits: f32["B", "T", "V"] }
    }

    fn loss(&self, outputs: &Tensors, batch: &Batch) -> Result<Tensor> {
        let (logits_btv, target_bt) = (outputs.get("logits")?, batch.get("target")?);
        let vocabulary = logits_btv.size()[2];
        Ok(logits_btv.f_view([-1, vocabulary])?.f_to_kind(Kind::Float)?.f_cross_entropy_loss(
            &target_bt.f_view([-1])?,
            None::<Tensor>,
            Reduction::Mean,
            -100,
            0.0,
        )?)
    }

    fn metrics(&self) -> &[(String, Arc<dyn Metric>)] {
        &self.metrics
    }

    fn observe(&self, outputs: &Tensors, batch: &Batch) -> Result<Observation> {
        // A token is a sample: [B, T, V] to [B T, V].
        let logits_btv = outputs.get("logits")?.detach();
        let logits = logits_btv.f_view([-1, logits_btv.size()[2]])?;
        Ok(Observation::Classes { logits, targets: batch.get("target")?.f_view([-1])? })
    }

    fn decode(&self, outputs: &Tensors) -> Result<Vec<Value>> {
        let next_bt = outputs.get("logits")?.f_argmax(2, false)?;
        (0..next_bt.size()[0])
            .map(|row| {
                let tokens: Vec<i64> = Vec::try_from(next_bt.f_get(row)?)?;
                Ok(json!({"next_tokens": tokens}))
            })
            .collect()
    }
}
