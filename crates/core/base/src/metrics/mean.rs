//! A weighted mean that stays on the device.

use std::mem;

use fulmen_torch::tch::{Device, Kind, Tensor, no_grad};

/// Sum and weight of what was added. Values on a device are summed there, so that adding waits for nothing; those on the CPU
/// are there to be read, which costs a tenth of an operator.
#[derive(Debug, Default)]
pub struct Mean {
    /// `[] f64`, of values on a device; none before the first.
    sum: Option<Tensor>,
    /// Of values on the CPU.
    host: f64,
    weight: f64,
    any: bool,
}

impl Mean {
    /// Adds `value` (`[]`, any floating kind) as the mean of `weight` samples.
    pub fn add(&mut self, value: &Tensor, weight: f64) {
        self.any = true;
        self.weight += weight;
        if value.device() == Device::Cpu
            && let Ok(value) = value.f_double_value(&[])
        {
            self.host += value * weight;
            return;
        }
        no_grad(|| {
            let weighted = value.detach().to_kind(Kind::Double) * weight;
            self.sum = Some(match self.sum.take() {
                Some(mut sum) => sum.g_add_(&weighted),
                // What a resumed run counts on from, added before as in a run that never stopped.
                None => weighted + mem::take(&mut self.host),
            });
        });
    }

    /// The mean; waits for the device. None before the first value.
    pub fn value(&self) -> Option<f64> {
        self.parts().map(|(sum, weight)| sum / weight)
    }

    /// Sum and weight; waits for the device.
    pub(crate) fn parts(&self) -> Option<(f64, f64)> {
        let on_device = self.sum.as_ref().map_or(0.0, |sum| sum.double_value(&[]));
        self.any.then_some((self.host + on_device, self.weight))
    }

    /// A mean that counts on from [`Self::parts`].
    pub(crate) fn of_parts(sum: f64, weight: f64) -> Self {
        Self { sum: None, host: sum, weight, any: true }
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
