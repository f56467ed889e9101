//! What a step is given beside its batch, and what it gives back.

use std::fmt;

use fulmen_contracts::Stage;
use fulmen_torch::tch::Tensor;

use crate::trainer::ManualOptimization;
use crate::{Batch, Error, Result, Tensors};

/// What a step gives back.
#[derive(Debug, Default)]
pub struct StepOutput {
    /// What is minimised, `[] f32`. Without one, automatic optimisation passes over the batch.
    pub loss: Option<Tensor>,
    /// Whatever else callbacks and the model's own hooks are to see, such as logits or embeddings.
    pub extra: Tensors,
}

impl StepOutput {
    /// A loss and nothing else.
    pub fn loss(loss: Tensor) -> Self {
        Self { loss: Some(loss), extra: Tensors::new() }
    }

    /// The same and one more tensor.
    #[must_use]
    pub fn with(mut self, name: &str, tensor: Tensor) -> Self {
        self.extra = self.extra.with(name, tensor);
        self
    }
}

/// A value that a step logs.
#[derive(Debug)]
pub(crate) struct LoggedValue {
    pub(crate) name: String,
    /// `[]`, any floating kind.
    pub(crate) value: Tensor,
    /// Samples that it is the mean of.
    pub(crate) weight: f64,
}

/// What a step is given beside its batch.
pub struct StepContext<'a> {
    /// Which loop it is part of.
    pub stage: Stage,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The batch within the epoch, from 0.
    pub batch_index: u64,
    /// Optimizer steps done since the run began.
    pub global_step: u64,
    /// Samples of the batch.
    pub(crate) batch_size: i64,
    /// Whether metrics are to be counted; not where all that costs time beside training is turned off.
    pub(crate) counts_metrics: bool,
    pub(crate) logged: &'a mut Vec<LoggedValue>,
    pub(crate) manual: Option<&'a mut (dyn ManualOptimization + 'a)>,
}

impl<'a> StepContext<'a> {
    /// Of a batch that nothing is learnt from.
    pub(crate) fn evaluation(stage: Stage, batch: &Batch, logged: &'a mut Vec<LoggedValue>) -> Self {
        let (epoch, batch_index, global_step) = (0, 0, 0);
        Self {
            stage,
            epoch,
            batch_index,
            global_step,
            batch_size: batch.size(),
            counts_metrics: true,
            logged,
            manual: None,
        }
    }

    /// Records `value` (`[]`, any floating kind) as `<stage>/<name>`: in training as `<stage>/<name>_step` with the step's
    /// other metrics too, and in each stage as its mean over the epoch's samples. Nothing waits for the device.
    pub fn log(&mut self, name: &str, value: &Tensor) {
        if !self.counts_metrics {
            return;
        }
        let value = value.detach();
        self.logged.push(LoggedValue { name: name.to_owned(), value, weight: self.batch_size as f64 });
    }

    /// Whether metrics of this step are of use to anybody: not in training with `barebones`.
    pub const fn counts_metrics(&self) -> bool {
        self.counts_metrics
    }

    /// What a model with manual optimisation works with: its optimizers, and the backward pass.
    ///
    /// # Errors
    /// Outside training, and where the model leaves optimisation to the trainer.
    pub fn manual(&mut self) -> Result<&mut (dyn ManualOptimization + 'a)> {
        self.manual.as_deref_mut().ok_or_else(|| {
            Error::config(
                "model",
                "optimizers are in the model's hands only in training, and if its automatic_optimization() says false",
            )
        })
    }
}

impl fmt::Debug for StepContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepContext")
            .field("stage", &self.stage)
            .field("epoch", &self.epoch)
            .field("batch_index", &self.batch_index)
            .finish_non_exhaustive()
    }
}
