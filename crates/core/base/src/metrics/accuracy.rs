//! Share of samples whose class is among the likeliest.

use fulmen_registry::component;
use fulmen_torch::tch::{Kind, Tensor, no_grad};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Mean;
use crate::{Metric, MetricKind, Result};

/// Share of samples whose class is among the `top_k` likeliest.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccuracyConfig {
    /// How many guesses a sample has.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub(crate) top_k: i64,
}

const fn one() -> i64 {
    1
}

component! { MetricKind, "accuracy", AccuracyConfig => |config, ()| Ok(Box::new(Accuracy::new(config.top_k))) }

/// Share of samples whose class is among the likeliest: predictions are logits `[B, K, …]`, targets classes `[B, …] i64`.
#[derive(Debug)]
pub struct Accuracy {
    top_k: i64,
    mean: Mean,
}

impl Accuracy {
    /// With so many guesses a sample.
    pub fn new(top_k: i64) -> Self {
        Self { top_k, mean: Mean::default() }
    }
}

impl Metric for Accuracy {
    fn update(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<()> {
        no_grad(|| {
            let hits = if self.top_k == 1 {
                predictions.f_argmax(1, false)?.f_eq_tensor(targets)?
            } else {
                let guesses = self.top_k.min(predictions.size()[1]);
                let (_, classes) = predictions.f_topk(guesses, 1, true, false)?;
                classes.f_eq_tensor(&targets.f_unsqueeze(1)?)?.f_any_dim(1, false)?
            };
            self.mean.add(&hits.f_to_kind(Kind::Float)?.f_mean(Kind::Float)?, targets.numel() as f64);
            Ok(())
        })
    }

    fn compute(&self) -> Option<f64> {
        self.mean.value()
    }

    fn reset(&mut self) {
        self.mean.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits() -> Tensor {
        Tensor::from_slice(&[0.1_f32, 0.7, 0.2, 0.5, 0.4, 0.1, 0.2, 0.3, 0.5]).view([3, 3])
    }

    #[test]
    fn accuracy_counts_hits_over_batches_of_uneven_size() {
        let mut accuracy = Accuracy::new(1);
        accuracy.update(&logits(), &Tensor::from_slice(&[1_i64, 0, 0])).unwrap();
        accuracy.update(&logits().narrow(0, 0, 1), &Tensor::from_slice(&[1_i64])).unwrap();
        assert!((accuracy.compute().unwrap() - 0.75).abs() < 1e-7);
    }

    #[test]
    fn a_second_guess_counts_with_top_2() {
        let mut accuracy = Accuracy::new(2);
        accuracy.update(&logits(), &Tensor::from_slice(&[2_i64, 1, 0])).unwrap();
        assert!((accuracy.compute().unwrap() - 2.0 / 3.0).abs() < 1e-7);
    }
}
