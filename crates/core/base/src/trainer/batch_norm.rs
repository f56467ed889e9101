//! Statistics of batch norms counted anew, for weights that were averaged rather than trained.

use fulmen_contracts::Stage;
use fulmen_torch::tch::{self, Tensor, no_grad};
use fulmen_utils::Address;

use super::fit::Fit;
use super::session::guarded;
use crate::step::StepContext;
use crate::{Batch, Error, Result};

/// One buffer: running mean or running variance.
struct Statistic {
    tensor: Tensor,
    /// What a batch's own statistic is multiplied by when it is added, as the layer is set.
    momentum: f64,
    /// Sum over the batches, in the buffer's own shape and in f64.
    sum: Option<Tensor>,
}

impl Fit<'_, '_> {
    /// One pass over the training data without gradients, hooks and steps, after which running means and variances are the
    /// means over all batches: `torch.optim.swa_utils.update_bn`.
    ///
    /// A layer adds a batch's statistic with a momentum that is its own affair. What it is set to is found by showing the first
    /// batch to buffers of 0 and of 1; each batch then meets buffers of 0, from which its statistic can be read.
    pub(super) fn update_batch_norm(&mut self) -> Result<()> {
        let is_statistic = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
        let mut statistics: Vec<_> = self
            .session
            .variables
            .iter()
            .filter(|(name, _)| is_statistic(name))
            .map(|(_, tensor)| Statistic { tensor: tensor.shallow_clone(), momentum: 0.0, sum: None })
            .collect();
        if statistics.is_empty() {
            return Ok(());
        }
        if !self.model.automatic_optimization() {
            return Err(Error::config(
                "callbacks",
                "statistics of batch norms cannot be counted anew for a model that steps its optimizers itself: its training step would train it",
            ));
        }
        let mut batches = 0;
        for batch in self.train.batches(0, 0, self.batches) {
            let batch = self.session.place(self.data, batch?)?;
            if batches == 0 {
                self.find_momenta(&mut statistics, &batch)?;
            }
            fill(&statistics, 0.0)?;
            self.forward(&batch, batches)?;
            for one in &mut statistics {
                let seen = no_grad(|| one.tensor.to_kind(tch::Kind::Double) / one.momentum);
                one.sum = Some(match one.sum.take() {
                    Some(sum) => sum + seen,
                    None => seen,
                });
            }
            batches += 1;
        }
        for Statistic { tensor, sum, .. } in &statistics {
            if let Some(sum) = sum {
                let mean = sum / batches as f64;
                no_grad(|| tensor.shallow_clone().f_copy_(&mean))?;
            }
        }
        self.model.reset_metrics(Stage::Train);
        Ok(())
    }

    fn find_momenta(&mut self, statistics: &mut [Statistic], batch: &Batch) -> Result<()> {
        let read = |statistics: &[Statistic]| -> Vec<Tensor> {
            statistics.iter().map(|one| one.tensor.to_kind(tch::Kind::Double)).collect()
        };
        fill(statistics, 0.0)?;
        self.forward(batch, 0)?;
        let from_zero = read(statistics);
        fill(statistics, 1.0)?;
        self.forward(batch, 0)?;
        let from_one = read(statistics);
        for ((one, zero), from_one) in statistics.iter_mut().zip(from_zero).zip(from_one) {
            let kept = (from_one - zero).mean(tch::Kind::Double).f_double_value(&[])?;
            // Rounded, since a momentum is a number that somebody wrote.
            one.momentum = ((1.0 - kept) * 1e4).round() / 1e4;
            if one.momentum <= 0.0 {
                return Err(Error::config(
                    "callbacks",
                    "a batch norm does not count in training (its momentum is 0): its statistics cannot be counted anew",
                ));
            }
        }
        Ok(())
    }

    /// A training step whose result nobody looks at; the same draws for the same batch.
    fn forward(&mut self, batch: &Batch, number: u64) -> Result<()> {
        let trainer = &*self.session.trainer;
        let address = Address::root(trainer.seed).named("update_batch_norm").at(number);
        tch::manual_seed(address.seed() as i64);
        let (precision, device) = (trainer.config.precision, trainer.strategy.device());
        let mut logged = Vec::new();
        let mut context = StepContext {
            epoch: self.session.state.epoch,
            batch_index: number,
            global_step: self.session.state.global_step,
            counts_metrics: false,
            ..StepContext::evaluation(Stage::Train, batch, &mut logged)
        };
        let model = &mut *self.model;
        guarded(|| no_grad(|| precision.run(device, || model.training_step(batch, &mut context)))?).map(drop)
    }
}

fn fill(statistics: &[Statistic], value: f64) -> Result<()> {
    no_grad(|| statistics.iter().try_for_each(|one| one.tensor.shallow_clone().f_fill_(value).map(drop)))?;
    Ok(())
}
