//! Undoing a batch that failed, so that a checkpoint can be saved of the run as it stood before it.

use std::collections::HashMap;

use fulmen_contracts::event::{Level, Values};
use fulmen_torch::gradients;
use fulmen_torch::tch::{Tensor, no_grad};

use super::TrainerState;
use super::session::{Seen, Session};
use crate::metrics::Mean;
use crate::model::Model;
use crate::{Error, Hook, Result};

/// What a batch changes before its step: all but the parameters, which only the step itself moves.
#[derive(Debug)]
pub(super) struct Rewind {
    state: TrainerState,
    values: Values,
    logged: Vec<(String, Mean)>,
    counted: HashMap<String, Tensor>,
    /// Copies of what is not trained, such as the statistics of batch norms, by place.
    buffers: Vec<(usize, Tensor)>,
    /// Copies of the gradients of an open window, by place.
    gradients: Vec<(usize, Tensor)>,
    /// Whether the step began: the parameters may have moved.
    stepping: bool,
}

impl Session<'_> {
    /// Notes how to undo the batch that begins, where a callback saves a checkpoint of a run that fails.
    pub(super) fn begin_batch(&mut self, model: &dyn Model) -> Result<()> {
        if !self.trainer.callbacks.iter().any(|(_, callback)| callback.saves_on_exception()) {
            return Ok(());
        }
        let copied = |(place, tensor): (usize, &Tensor)| (place, no_grad(|| tensor.copy()));
        let variables = || self.variables.iter().map(|(_, tensor)| tensor).enumerate();
        let open: Vec<_> = variables()
            .filter(|(_, tensor)| self.state.window > 0 && tensor.requires_grad())
            .map(|(place, tensor)| (place, tensor.grad()))
            .filter(|(_, gradient)| gradient.defined())
            .collect();
        self.rewind = Some(Rewind {
            state: self.state,
            values: self.metrics.clone(),
            logged: self
                .logged
                .iter()
                .map(|(name, mean)| Ok((name.clone(), mean.copied()?)))
                .collect::<Result<_>>()?,
            counted: model
                .metric_state()?
                .into_iter()
                .map(|(name, tensor)| (name, no_grad(|| tensor.copy())))
                .collect(),
            buffers: variables().filter(|(_, tensor)| !tensor.requires_grad()).map(copied).collect(),
            gradients: open.iter().map(|(place, gradient)| (*place, gradient)).map(copied).collect(),
            stepping: false,
        });
        Ok(())
    }

    /// The step of the batch begins: what it moves cannot be moved back.
    pub(super) const fn begin_step(&mut self) {
        if let Some(rewind) = &mut self.rewind {
            rewind.stepping = true;
        }
    }

    /// The batch is done: there is nothing to undo.
    pub(super) fn end_batch(&mut self) {
        self.rewind = None;
    }

    /// Undoes the batch that failed, if one did. False where its step had begun.
    fn undo_batch(&mut self, model: &mut dyn Model) -> Result<bool> {
        let Some(rewind) = self.rewind.take() else { return Ok(true) };
        if rewind.stepping {
            return Ok(false);
        }
        no_grad(|| {
            for (place, kept) in &rewind.buffers {
                self.variables[*place].1.shallow_clone().f_copy_(kept)?;
            }
            Ok::<_, Error>(())
        })?;
        for (_, tensor) in &self.variables {
            if tensor.grad().defined() {
                gradients::clear(&[tensor.shallow_clone()])?;
            }
        }
        for (place, kept) in &rewind.gradients {
            gradients::set(&self.variables[*place].1, kept)?;
        }
        model.load_metric_state(&rewind.counted)?;
        (self.state, self.metrics, self.logged) = (rewind.state, rewind.values, rewind.logged);
        Ok(true)
    }

    /// Tells callbacks and the model of a failure, and has what they save hold the run before the batch that failed. What fails
    /// meanwhile is told beside it.
    pub(super) fn failed(&mut self, model: &mut dyn Model, error: &Error) {
        self.requests.checkpoints.clear();
        let undone = self.undo_batch(model);
        let seen = Seen { error: Some(error), ..Seen::default() };
        if let Err(further) = self.hook(model, Hook::Exception, seen) {
            self.trainer.events.log(Level::Error, further.to_string());
        }
        let why = match undone {
            Ok(true) => return,
            Ok(false) => "the optimizer's step itself failed, and its weights are half moved".to_owned(),
            Err(further) => further.to_string(),
        };
        if !self.requests.checkpoints.is_empty() {
            self.requests.checkpoints.clear();
            let message = format!("no checkpoint is saved of the run that failed: {why}");
            self.trainer.events.log(Level::Error, message);
        }
    }
}
