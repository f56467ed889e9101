//! Networks, the kind `model` of components, and what the trainer asks of a model.

use std::collections::HashMap;
use std::fmt::Debug;

use fulmen_contracts::{Schema, Stage, event::Values};
use fulmen_registry::Kind;
use fulmen_torch::tch::{Tensor, nn};
use serde_json::Value;

use crate::{Batch, DataSpec, Result, Tensors};

/// Whether a forward pass is for training or for evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Dropout drops, batch norm counts.
    Train,
    /// Neither does.
    Eval,
}

impl Mode {
    /// As `tch`'s `forward_t` wants it.
    pub fn is_train(self) -> bool {
        self == Self::Train
    }
}

/// Tensors in, tensors out: the part of a model that has parameters.
///
/// A network knows neither loss nor metrics; a [`Task`](crate::Task) does.
pub trait Network: Debug + Send {
    /// What it asks of a batch: `schema! { image: f32["B", 3, "H", "W"] }`.
    fn inputs(&self) -> Schema;

    /// What it gives: `schema! { logits: f32["B", "K"] }`.
    fn outputs(&self) -> Schema;

    /// One pass. Tensor operators may panic, as `tch`'s do: the trainer turns that into an error that names the step.
    ///
    /// # Errors
    /// When a tensor is missing.
    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensors>;
}

/// The kind `model`: networks, built below a path of a variable store.
#[derive(Debug)]
pub struct ModelKind;

impl Kind for ModelKind {
    const NAME: &'static str = "model";
    type Product = Box<dyn Network>;
    type Context<'context> = ModelContext<'context>;
}

/// What a network is built with beyond its settings.
#[derive(Debug, Clone, Copy)]
pub struct ModelContext<'context> {
    /// Where its parameters are made; names below it are those of the `state_dict`.
    pub path: &'context nn::Path<'context>,
    /// What the data promises: settings left `null` are taken from here.
    pub data: &'context DataSpec,
}

/// What the trainer drives: steps, metrics, parameters. Lightning's users know it as the `LightningModule`.
pub trait Model: Debug + Send {
    /// Parameters and buffers, by their `state_dict` names.
    fn variables(&self) -> &nn::VarStore;

    /// One training batch: the loss, `[] f32`, to be propagated backwards.
    ///
    /// # Errors
    /// When batch and model do not fit.
    fn training_step(&mut self, batch: &Batch) -> Result<Tensor>;

    /// One validation batch; its metrics are kept until [`Self::metrics`].
    ///
    /// # Errors
    /// As [`Self::training_step`].
    fn validation_step(&mut self, batch: &Batch) -> Result<()>;

    /// One test batch.
    ///
    /// # Errors
    /// As [`Self::training_step`].
    fn test_step(&mut self, batch: &Batch) -> Result<()>;

    /// One record a sample, as it is printed.
    ///
    /// # Errors
    /// As [`Self::training_step`].
    fn predict_step(&mut self, batch: &Batch) -> Result<Vec<Value>>;

    /// The metrics of a stage over all batches since [`Self::reset_metrics`], exact for batches of uneven size.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn metrics(&self, stage: Stage) -> Result<Values>;

    /// Those of [`Self::metrics`] that are told while a stage runs, as in a progress bar: none that is costly, none of many values.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn running_metrics(&self, stage: Stage) -> Result<Values> {
        self.metrics(stage)
    }

    /// Forgets the batches of a stage.
    fn reset_metrics(&mut self, stage: Stage);

    /// What the metrics of all stages have counted, the mean of the loss among them, as `<stage>/<metric>/<state>`: tensors of their
    /// own, which a checkpoint may hold while counting goes on.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn metric_state(&self) -> Result<Vec<(String, Tensor)>>;

    /// Goes on from what [`Self::metric_state`] gave: metrics of an epoch that is resumed end with the same bits. A metric that was not
    /// there when the state was saved begins anew.
    ///
    /// # Errors
    /// When a state is of another metric.
    fn load_metric_state(&mut self, state: &HashMap<String, Tensor>) -> Result<()>;
}

/// Trainable parameters by name, in the order of their names: the same on every run and rank.
pub fn trainable(variables: &nn::VarStore) -> Vec<(String, Tensor)> {
    named(variables).into_iter().filter(|(_, tensor)| tensor.requires_grad()).collect()
}

/// Parameters and buffers by name, in the order of their names.
pub fn named(variables: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut named: Vec<_> = variables.variables().into_iter().collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}
