//! Numbers for each sample: forecasting, and any other target of floats.

use fulmen_contracts::{Schema, schema};
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::{Kind, Reduction, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::metrics::{MeanAbsoluteError, MeanSquaredError};
use crate::task::TaskContext;
use crate::{Batch, Metric, Result, Task, TaskKind, Tensors};

/// Numbers for each sample: mean squared error of the network's `prediction` with the batch's `target`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegressionConfig {}

component! { TaskKind, "regression", RegressionConfig => Regression::build }

/// Numbers for each sample.
#[derive(Debug)]
pub struct Regression;

impl Regression {
    #[expect(clippy::unnecessary_wraps, reason = "the form of every factory")]
    fn build(_: &RegressionConfig, _: TaskContext<'_>) -> Result<Box<dyn Task>, BuildError> {
        Ok(Box::new(Self))
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

    fn metrics(&self) -> Vec<(String, Box<dyn Metric>)> {
        vec![
            ("mae".to_owned(), Box::new(MeanAbsoluteError::default())),
            ("mse".to_owned(), Box::new(MeanSquaredError::default())),
        ]
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
