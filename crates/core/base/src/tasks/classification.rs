//! One class a sample.

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

/// One class a sample: cross-entropy of the network's `logits` with the batch's `label`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassificationConfig {
    /// Share of the target that is spread over all classes (Szegedy et al. 2015, arXiv:1512.00567).
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// Metrics by name, beside the loss. Left out: `accuracy`.
    #[serde(default)]
    pub metrics: Option<Metrics>,
}

component! { TaskKind, "classification", ClassificationConfig => Classification::build }

/// One class a sample.
#[derive(Debug)]
pub struct Classification {
    label_smoothing: f64,
    metrics: NamedMetrics,
    class_names: Option<Vec<String>>,
}

impl Classification {
    fn build(config: &ClassificationConfig, context: TaskContext<'_>) -> Result<Box<dyn Task>, BuildError> {
        let default = || -> NamedMetrics { vec![("accuracy".to_owned(), Arc::new(Accuracy::new(1)))] };
        Ok(Box::new(Self {
            label_smoothing: config.label_smoothing,
            metrics: metrics::build(
                config.metrics.as_ref(),
                context.registry,
                ObservationKind::Classes,
                default,
            )?,
            class_names: context.data.class_names.clone(),
        }))
    }
}

impl Task for Classification {
    fn targets(&self) -> Schema {
        schema! { label: i64["B"] }
    }

    fn outputs(&self) -> Schema {
        schema! { logits: f32["B", "K"] }
    }

    fn loss(&self, outputs: &Tensors, batch: &Batch) -> Result<Tensor> {
        let (logits, label) = (outputs.get("logits")?, batch.get("label")?);
        Ok(logits.f_to_kind(Kind::Float)?.f_cross_entropy_loss(
            label,
            None::<Tensor>,
            Reduction::Mean,
            -100,
            self.label_smoothing,
        )?)
    }

    fn metrics(&self) -> &[(String, Arc<dyn Metric>)] {
        &self.metrics
    }

    fn observe(&self, outputs: &Tensors, batch: &Batch) -> Result<Observation> {
        let (logits, targets) = (outputs.get("logits")?.detach(), batch.get("label")?.shallow_clone());
        Ok(Observation::Classes { logits, targets })
    }

    fn decode(&self, outputs: &Tensors) -> Result<Vec<Value>> {
        let probabilities = outputs.get("logits")?.f_softmax(1, Kind::Float)?;
        let (best, classes) = probabilities.f_max_dim(1, false)?;
        let best: Vec<f32> = Vec::try_from(best)?;
        let classes: Vec<i64> = Vec::try_from(classes)?;
        Ok(classes
            .into_iter()
            .zip(best)
            .map(|(class, probability)| {
                let name = usize::try_from(class)
                    .ok()
                    .and_then(|index| self.class_names.as_ref()?.get(index).cloned())
                    .unwrap_or_else(|| class.to_string());
                json!({"class": class, "label": name, "probability": probability})
            })
            .collect())
    }
}
