//! A weighted mean that stays on the device.

use std::collections::HashMap;

use fulmen_torch::tch::{Kind, Tensor, no_grad};

use super::{Join, State};
use crate::Result;

/// Sum and weight of what was added; the sum is a tensor, so that adding waits for nothing.
#[derive(Debug)]
pub struct Mean(State);

impl Default for Mean {
    fn default() -> Self {
        Self(State::new(&[("sum", Join::Sum), ("weight", Join::Number)]))
    }
}

impl Mean {
    /// Adds `value` (`[]`, any floating kind) as the mean of `weight` samples.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn add(&mut self, value: &Tensor, weight: f64) -> Result<()> {
        let weighted = no_grad(|| value.f_to_kind(Kind::Double)?.f_mul_scalar(weight))?;
        self.0.add("sum", weighted)?;
        self.0.count("weight", weight)
    }

    /// The mean; waits for the device. None before the first value.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn value(&self) -> Result<Option<f64>> {
        Ok(self.0.values("sum")?.first().map(|sum| sum / self.0.number("weight")))
    }

    /// The same, apart from this one.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub(crate) fn copied(&self) -> Result<Self> {
        let mut copy = Self::default();
        copy.load_state_dict(&self.state_dict()?.into_iter().collect())?;
        Ok(copy)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// `sum [] f64` and `weight [] f64`.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn state_dict(&self) -> Result<Vec<(String, Tensor)>> {
        self.0.state_dict()
    }

    /// Goes on from what [`Self::state_dict`] gave.
    ///
    /// # Errors
    /// When it is of something else.
    pub fn load_state_dict(&mut self, state: &HashMap<String, Tensor>) -> Result<()> {
        self.0.load_state_dict(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_uneven_size_weigh_as_their_samples() {
        let mut mean = Mean::default();
        assert_eq!(mean.value().unwrap(), None);
        mean.add(&Tensor::from(1.0_f32), 3.0).unwrap();
        mean.add(&Tensor::from(5.0_f32), 1.0).unwrap();
        assert_eq!(mean.value().unwrap(), Some(2.0));
        mean.reset();
        assert_eq!(mean.value().unwrap(), None);
    }

    #[test]
    fn a_mean_goes_on_from_what_was_saved_with_the_same_bits() {
        let (mut whole, mut first, mut second) = (Mean::default(), Mean::default(), Mean::default());
        for (mean, value) in [(&mut first, 0.1_f32), (&mut whole, 0.1)] {
            mean.add(&Tensor::from(value), 3.0).unwrap();
        }
        second.load_state_dict(&first.state_dict().unwrap().into_iter().collect()).unwrap();
        for mean in [&mut second, &mut whole] {
            mean.add(&Tensor::from(0.7_f32), 1.0).unwrap();
        }
        assert_eq!(second.value().unwrap().map(f64::to_bits), whole.value().unwrap().map(f64::to_bits));
    }
}
