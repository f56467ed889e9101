//! The next token of each token.

use fulmen_contracts::{Schema, schema};
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::{Kind, Reduction, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::metrics::Accuracy;
use crate::task::TaskContext;
use crate::{Batch, Metric, Result, Task, TaskKind, Tensors};

/// The next token of each token: cross-entropy of the network's `logits` with the batch's `target`, in nats a token.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LanguageModelingConfig {}

component! { TaskKind, "language_modeling", LanguageModelingConfig => LanguageModeling::build }

/// The next token of each token.
#[derive(Debug)]
pub struct LanguageModeling;

impl LanguageModeling {
    #[expect(clippy::unnecessary_wraps, reason = "the form of every factory")]
    fn build(_: &LanguageModelingConfig, _: TaskContext<'_>) -> Result<Box<dyn Task>, BuildError> {
        Ok(Box::new(Self))
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

    fn metrics(&self) -> Vec<(String, Box<dyn Metric>)> {
        vec![("accuracy".to_owned(), Box::new(TokenAccuracy(Accuracy::new(1))))]
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

/// Share of tokens that were the likeliest: [`Accuracy`] over `[B, T, V]`.
#[derive(Debug)]
struct TokenAccuracy(Accuracy);

impl Metric for TokenAccuracy {
    fn update(&mut self, logits_btv: &Tensor, target_bt: &Tensor) -> Result<()> {
        let vocabulary = logits_btv.size()[2];
        self.0.update(&logits_btv.f_view([-1, vocabulary])?, &target_bt.f_view([-1])?)
    }

    fn compute(&self) -> Option<f64> {
        self.0.compute()
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}
