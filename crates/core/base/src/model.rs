//! Networks, the kind `model` of components, and what the trainer asks of a model.

use std::collections::HashMap;
use std::fmt::Debug;

use fulmen_contracts::{Schema, Stage, event::Values};
use fulmen_registry::Kind;
use fulmen_strategies::Strategy;
use fulmen_torch::gradients;
use fulmen_torch::tch::{Tensor, nn};
use serde_json::Value;

use crate::hooks::{hook_methods, with_hooks};
use crate::scheduler::SchedulerContext;
use crate::trainer::{GradientClipping, Optimizers};
use crate::{
    Batch, Callback, DataSpec, Optimizer, ParamGroup, Result, Scheduler, StepContext, StepOutput, Tensors,
};

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

/// What the trainer drives: steps, metrics, parameters, hooks. Lightning's users know it as the `LightningModule`.
///
/// A config describes one as a network with a task; a model of one's own implements this trait. Its hooks have the names of
/// [`Callback`](crate::Callback)'s and follow theirs.
pub trait Model: Debug + Send {
    with_hooks! { hook_methods }

    /// Parameters and buffers, by their `state_dict` names.
    fn variables(&self) -> &nn::VarStore;

    /// Whether the trainer does the backward pass and the optimizer's step, or [`Self::training_step`] does both itself
    /// through [`StepContext::manual`].
    fn automatic_optimization(&self) -> bool {
        true
    }

    /// Callbacks of the model's own, by name; one of the config under the same name goes before it.
    ///
    /// # Errors
    /// When one cannot be built.
    fn configure_callbacks(&mut self) -> Result<Vec<(String, Box<dyn Callback>)>> {
        Ok(Vec::new())
    }

    /// Parts that are only made once data and devices are known.
    ///
    /// # Errors
    /// When they cannot be made.
    fn configure_model(&mut self) -> Result<()> {
        Ok(())
    }

    /// Optimizers and schedules of the model's own choosing, instead of the config's.
    ///
    /// # Errors
    /// When they cannot be made.
    fn configure_optimizers(&mut self, length: SchedulerContext) -> Result<Option<Optimizers>> {
        let _ = length;
        Ok(None)
    }

    /// One training batch.
    ///
    /// # Errors
    /// When batch and model do not fit.
    fn training_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput>;

    /// One validation batch; its metrics are kept until [`Self::metrics`].
    ///
    /// # Errors
    /// As [`Self::training_step`].
    fn validation_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput>;

    /// One test batch.
    ///
    /// # Errors
    /// As [`Self::training_step`].
    fn test_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput>;

    /// One record a sample, as it is printed.
    ///
    /// # Errors
    /// As [`Self::training_step`].
    fn predict_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<Vec<Value>>;

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
    /// own, which a checkpoint may hold while counting goes on. A model that counts nothing has none.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn metric_state(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(Vec::new())
    }

    /// Goes on from what [`Self::metric_state`] gave: metrics of an epoch that is resumed end with the same bits. A metric that was not
    /// there when the state was saved begins anew.
    ///
    /// # Errors
    /// When a state is of another metric.
    fn load_metric_state(&mut self, state: &HashMap<String, Tensor>) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// Sets the gradients of `params` to zero; by default they are freed.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn optimizer_zero_grad(&mut self, params: &[Tensor]) -> Result<()> {
        Ok(gradients::clear(params)?)
    }

    /// Propagates `loss` (`[] f32`, scaled and divided by the window already) backwards.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn backward(&mut self, loss: &Tensor, strategy: &mut dyn Strategy) -> Result<()> {
        Ok(strategy.backward(loss)?)
    }

    /// Bounds the gradients of `params` before a step, as the trainer's arguments say.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn configure_gradient_clipping(&mut self, params: &[Tensor], clipping: GradientClipping) -> Result<()> {
        clipping.clip(params)
    }

    /// The optimizer's step.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn optimizer_step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        optimizer.step()
    }

    /// Moves a schedule on to `done` steps or epochs.
    ///
    /// # Errors
    /// When it cannot be moved on.
    fn lr_scheduler_step(
        &mut self,
        scheduler: &mut dyn Scheduler,
        done: u64,
        groups: &mut [ParamGroup],
    ) -> Result<()> {
        scheduler.apply(done, groups);
        Ok(())
    }

    /// A checkpoint is about to be saved: what is returned is kept in it.
    ///
    /// # Errors
    /// When it cannot be had.
    fn on_save_checkpoint(&mut self) -> Result<Value> {
        Ok(Value::Null)
    }

    /// A checkpoint is about to be loaded: what [`Self::on_save_checkpoint`] returned.
    ///
    /// # Errors
    /// When it was kept by another model.
    fn on_load_checkpoint(&mut self, kept: &Value) -> Result<()> {
        let _ = kept;
        Ok(())
    }
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
