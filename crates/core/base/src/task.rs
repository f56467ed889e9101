//! The kind `task`: joins a network with its loss, its metrics and its way to decode predictions.

use std::fmt::Debug;
use std::sync::Arc;

use fulmen_contracts::Schema;
use fulmen_registry::{Kind, Registry};
use fulmen_torch::tch::Tensor;
use serde_json::Value;

use crate::hooks::{hook_methods, with_hooks};
use crate::{Batch, DataSpec, Metric, Mode, Network, Observation, Result, StepContext, StepOutput, Tensors};

/// What a network is for. One network serves several tasks, and one task any network whose outputs fit.
pub trait Task: Debug + Send {
    with_hooks! { hook_methods }

    /// What it asks of a batch beyond what the network does: `schema! { label: i64["B"] }`.
    fn targets(&self) -> Schema;

    /// What it asks of the network: `schema! { logits: f32["B", "K"] }`.
    fn outputs(&self) -> Schema;

    /// What is minimised: `[] f32`, the mean over the samples of the batch.
    ///
    /// # Errors
    /// When a tensor is missing.
    fn loss(&self, outputs: &Tensors, batch: &Batch) -> Result<Tensor>;

    /// Whether the trainer does the backward pass and the optimizer's step, or [`Self::training_step`] does both itself.
    fn automatic_optimization(&self) -> bool {
        true
    }

    /// One training batch: by default a forward pass and the loss, with the network's outputs beside it.
    ///
    /// A task with manual optimisation, such as one of two adversaries, does its backward passes and steps here, through
    /// [`StepContext::manual`].
    ///
    /// # Errors
    /// When batch, network and task do not fit.
    fn training_step(
        &mut self,
        network: &dyn Network,
        batch: &Batch,
        context: &mut StepContext<'_>,
    ) -> Result<StepOutput> {
        let _ = context;
        let outputs = network.forward(batch, Mode::Train)?;
        let loss = Some(self.loss(&outputs, batch)?);
        Ok(StepOutput { loss, extra: outputs })
    }

    /// What it is judged by beside the loss, by name.
    fn metrics(&self) -> &[(String, Arc<dyn Metric>)];

    /// What its metrics are shown of a batch.
    ///
    /// # Errors
    /// When a tensor is missing.
    fn observe(&self, outputs: &Tensors, batch: &Batch) -> Result<Observation>;

    /// One record a sample, as it is printed.
    ///
    /// # Errors
    /// When a tensor is missing.
    fn decode(&self, outputs: &Tensors) -> Result<Vec<Value>>;
}

/// The kind `task`.
#[derive(Debug)]
pub struct TaskKind;

impl Kind for TaskKind {
    const NAME: &'static str = "task";
    type Product = Box<dyn Task>;
    type Context<'context> = TaskContext<'context>;
}

/// What a task is built with beyond its settings.
#[derive(Debug, Clone, Copy)]
pub struct TaskContext<'context> {
    /// For the metrics in its settings.
    pub registry: &'context Registry,
    /// What the data promises.
    pub data: &'context DataSpec,
}
