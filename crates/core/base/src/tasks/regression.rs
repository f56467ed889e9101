//! Numbers for each sample: forecasting, and any other target of floats.

use std::sync::Arc;

use fulmen_contracts::{Schema, schema};
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::{Kind, Reduction, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::metrics::{self, Metrics, NamedMetrics};
use crate::metrics::{ElementError, MeanError};
use crate::task::TaskContext;
use crate::{Batch, Metric, Observation, ObservationKind, Result, Task, TaskKind, Tensors};

/// Numbers for each sample: mean squared error of the network's `prediction` with the batch's `target`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegressionConfig {
    /// Metrics by name, beside the loss. Left out: `mae` and `mse`.
    #[serde(default)]
    pub metrics: Option<Metrics>,
}

component! { TaskKind, "regression", RegressionConfig => Regression::build }

/// Numbers for each sample.
#[derive(Debug)]
pub struct Regression {
    metrics: NamedMetrics,
}

impl Regression {
    fn build(config: &RegressionConfig, context: TaskContext<'_>) -> Result<Box<dyn Task>, BuildError> {
        let default = || -> NamedMetrics {
            vec![
                ("mae".to_owned(), Arc::new(MeanError(ElementError::Absolute))),
                ("mse".to_owned(), Arc::new(MeanError(ElementError::Squared))),
            ]
        };
        let metrics =
            metrics::build(config.metrics.as_ref(), context.registry, ObservationKind::Values, default)?;
        Ok(Box::new(Self { metrics }))
    }
}

impl Task for Regression {
    fn targets(&self) -> Schema {
        schema! { target: f32["B", "O"] }
    }

    fn outputs(&self) -> Schema {
        schema! { prediction: f32["B", "O"] }
    }

    fn loss(&self, outputs: &Tensors, batch: &Batch) -> Result<Tensor> {
        let prediction = outputs.get("prediction")?.f_to_kind(Kind::Float)?;
        Ok(prediction.f_mse_loss(batch.get("target")?, Reduction::Mean)?)
    }

    fn metrics(&self) -> &[(String, Arc<dyn Metric>)] {
        &self.metrics
    }

    fn observe(&self, outputs: &Tensors, batch: &Batch) -> Result<Observation> {
        let (predictions, targets) =
            (outputs.get("prediction")?.detach(), batch.get("target")?.shallow_clone());
        Ok(Observation::Values { predictions, targets })
    }

    fn decode(&self, outputs: &Tensors) -> Result<Vec<Value>> {
        let prediction = outputs.get("prediction")?;
        (0..prediction.size()[0])
            .map(|row| {
                let values: Vec<f32> =
                    Vec::try_from(prediction.f_get(row)?.f_to_kind(Kind::Float)?.f_reshape([-1])?)?;
                Ok(json!({"prediction": values}))
            })
            .collect()
    }
}
