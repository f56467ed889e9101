//! A weighted mean that stays on the device.

use fulmen_torch::tch::{Kind, Tensor, no_grad};

/// Sum and weight of what was added; the sum is a tensor, so that adding waits for nothing.
#[derive(Debug, Default)]
pub struct Mean {
    /// `[] f64`, none before the first value.
    sum: Option<Tensor>,
    weight: f64,
}

impl Mean {
    /// Adds `value` (`[]`, any floating kind) as the mean of `weight` samples.
    pub fn add(&mut self, value: &Tensor, weight: f64) {
        no_grad(|| {
            let weighted = value.detach().to_kind(Kind::Double) * weight;
            self.sum = Some(match self.sum.take() {
                Some(mut sum) => sum.g_add_(&weighted),
                None => weighted,
            });
        });
        self.weight += weight;
    }

    /// The mean; waits for the device. None before the first value.
    pub fn value(&self) -> Option<f64> {
        self.sum.as_ref().map(|sum| sum.double_value(&[]) / self.weight)
    }

    /// Sum and weight; waits for the device.
    pub(crate) fn parts(&self) -> Option<(f64, f64)> {
        self.sum.as_ref().map(|sum| (sum.double_value(&[]), self.weight))
    }

    /// The same, apart from this one.
    pub(crate) fn copied(&self) -> Self {
        Self { sum: self.sum.as_ref().map(Tensor::copy), weight: self.weight }
    }

    /// A mean that counts on from [`Self::parts`].
    pub(crate) fn of_parts(sum: f64, weight: f64) -> Self {
        Self { sum: Some(Tensor::from(sum)), weight }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_uneven_size_weigh_as_their_samples() {
        let mut mean = Mean::default();
        assert_eq!(mean.value(), None);
        mean.add(&Tensor::from(1.0_f32), 3.0);
        mean.add(&Tensor::from(5.0_f32), 1.0);
        assert_eq!(mean.value(), Some(2.0));
        mean.reset();
        assert_eq!(mean.value(), None);
    }
}
