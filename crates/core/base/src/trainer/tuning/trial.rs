//! Training for a few steps and undoing it: weights, optimizers, loops and data are then as they were, bit for bit.

use std::collections::HashMap;
use std::mem;

use fulmen_contracts::Stage;
use fulmen_torch::gradients;
use fulmen_torch::tch::{Tensor, no_grad};
use serde_json::Value;

use crate::callback::{Callback, Requests};
use crate::events::EventSink;
use crate::scheduler::Scheduler;
use crate::trainer::fit::Fit;
use crate::trainer::state::TrainerState;
use crate::{Optimizer, Result};

/// What trial steps change.
struct Before {
    variables: Vec<Tensor>,
    optimizer: HashMap<String, Tensor>,
    schedules: Value,
    schedulers: Vec<Option<Box<dyn Scheduler>>>,
    /// Learning rate, weight decay and momentum of each group of each optimizer.
    rates: Vec<(f64, f64, f64, Option<f64>)>,
    scaler: Option<Value>,
    data: Value,
    state: TrainerState,
    requests: Requests,
    callbacks: Vec<(String, Box<dyn Callback>)>,
    events: EventSink,
    log_every_n_steps: u64,
}

impl Fit<'_, '_> {
    /// Runs `tries` without callbacks, schedules, records and events, and undoes all that it trained.
    pub(super) fn trial<T>(&mut self, tries: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.remember()?;
        let tried = tries(self);
        self.undo(before).and(tried)
    }

    fn remember(&mut self) -> Result<Before> {
        let session = &mut self.session;
        let copied = |tensor: &Tensor| no_grad(|| tensor.copy());
        let optimizer = session.optimizers.state_dict();
        // Before the schedules are taken out: their state is part of it.
        let schedules = session.optimizers.schedules();
        let trainer = &mut *session.trainer;
        Ok(Before {
            variables: session.variables.iter().map(|(_, tensor)| copied(tensor)).collect(),
            optimizer: optimizer.iter().map(|(name, tensor)| (name.clone(), copied(tensor))).collect(),
            schedules,
            schedulers: session.optimizers.iter_mut().map(|slot| slot.scheduler.take()).collect(),
            rates: session
                .optimizers
                .iter()
                .flat_map(|slot| slot.optimizer.param_groups())
                .map(|group| (group.lr, group.initial_lr, group.weight_decay, group.momentum))
                .collect(),
            scaler: trainer.scaler.as_ref().map(fulmen_strategies::GradientScaler::state_dict),
            data: self.data.state_dict(),
            state: session.state,
            requests: mem::take(&mut session.requests),
            callbacks: mem::take(&mut trainer.callbacks),
            events: mem::replace(&mut trainer.events, EventSink::new(|_| {})),
            log_every_n_steps: mem::take(&mut trainer.config.log_every_n_steps),
        })
    }

    fn undo(&mut self, before: Before) -> Result<()> {
        let session = &mut self.session;
        let trainer = &mut *session.trainer;
        trainer.config.log_every_n_steps = before.log_every_n_steps;
        (trainer.callbacks, trainer.events) = (before.callbacks, before.events);
        (session.state, session.requests) = (before.state, before.requests);
        session.logged.clear();
        for (slot, scheduler) in session.optimizers.iter_mut().zip(before.schedulers) {
            slot.scheduler = scheduler;
        }
        session.optimizers.load(&before.optimizer, &before.schedules)?;
        let groups = session.optimizers.iter_mut().flat_map(|slot| slot.optimizer.param_groups_mut());
        for (group, rates) in groups.zip(before.rates) {
            (group.lr, group.initial_lr, group.weight_decay, group.momentum) = rates;
        }
        session.learning_rate = session.optimizers.learning_rate();
        if let (Some(scaler), Some(state)) = (&mut trainer.scaler, &before.scaler) {
            scaler.load_state_dict(state)?;
        }
        let variables = session.variables.iter().map(|(_, tensor)| tensor);
        no_grad(|| {
            variables
                .clone()
                .zip(&before.variables)
                .try_for_each(|(tensor, kept)| tensor.shallow_clone().f_copy_(kept).map(drop))
        })?;
        gradients::clear(&variables.map(Tensor::shallow_clone).collect::<Vec<_>>())?;
        self.data.load_state_dict(&before.data)?;
        self.model.reset_metrics(Stage::Train);
        Ok(())
    }

    /// So many optimizer steps from the beginning of the data, over as many epochs as that takes. `before` each step its number,
    /// from 0, is told; `after` it the loss of its last batch, and whether to go on is asked.
    pub(super) fn trial_steps(
        &mut self,
        steps: u64,
        mut before: impl FnMut(&mut Self, u64),
        mut after: impl FnMut(&mut Self, u64, Option<f64>) -> bool,
    ) -> Result<()> {
        let mut done = 0;
        while done < steps {
            let state = &mut self.session.state;
            let epoch = state.epoch;
            state.batch = 0;
            for batch in self.train.batches(epoch, 0, self.batches) {
                if self.session.state.window == 0 {
                    before(self, done);
                }
                let batch = self.session.place(self.data, batch?)?;
                let closes = self.session.state.batch + 1 == self.batches;
                let outputs = self.session.train_batch(self.model, &batch, closes)?;
                self.session.state.batch += 1;
                if self.session.state.stepped {
                    let loss = outputs.loss.map(|loss| loss.f_double_value(&[])).transpose()?;
                    self.session.clear_gradients()?;
                    done += 1;
                    if !after(self, done, loss) || self.session.trainer.stop.is_set() {
                        return Ok(());
                    }
                }
                if done == steps {
                    return Ok(());
                }
            }
            // A model that never steps would be asked for ever.
            if done == 0 {
                return Ok(());
            }
            self.session.state.epoch += 1;
        }
        Ok(())
    }
}

impl crate::trainer::session::Session<'_> {
    /// Frees the gradients of all that is trained.
    fn clear_gradients(&self) -> Result<()> {
        let groups = self.optimizers.iter().flat_map(|slot| Optimizer::param_groups(slot.optimizer.as_ref()));
        let params: Vec<_> = groups.flat_map(|group| &group.params).map(Tensor::shallow_clone).collect();
        Ok(gradients::clear(&params)?)
    }
}
