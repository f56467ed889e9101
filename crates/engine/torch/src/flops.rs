//! Floating-point operations, counted from the operators that libtorch dispatches: what is counted is what ran.
//!
//! Matrix products, convolutions, attentions and recurrent layers, each by the formula of `torch.utils.flop_counter`; a
//! multiplication and an addition are two. Element-wise operators are left out, as there.

use tch::Tensor;

use crate::gradients::count;
use crate::{TorchError, handles, sys};

/// What ran while it was counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flops {
    /// Floating-point operations in all.
    pub total: u64,
    /// Uses of the parameters that were given, in order.
    pub uses: Vec<LayerUse>,
}

/// A layer that computed with a parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerUse {
    /// Which of the parameters: the first that the operator takes.
    pub param: usize,
    /// Its floating-point operations.
    pub flops: u64,
    /// Sizes of what went in.
    pub input: Vec<i64>,
    /// Sizes of what came out.
    pub output: Vec<i64>,
}

/// A count under way; there is one at a time in a process.
#[derive(Debug)]
pub struct FlopCounter(());

impl FlopCounter {
    /// Begins to count what this thread dispatches, and its backward passes wherever they run. Where `params` are used is noted.
    ///
    /// # Errors
    /// When a count is under way already.
    pub fn begin(params: &[Tensor]) -> Result<Self, TorchError> {
        let handles = handles(params);
        // SAFETY: an array of `count` live tensors, of which only addresses are kept.
        if unsafe { sys::ft_flops_begin(handles.as_ptr(), count(params)?) } != 0 {
            return Err(TorchError("floating-point operations are being counted already".to_owned()));
        }
        Ok(Self(()))
    }

    /// Ends the count.
    pub fn end(self) -> Flops {
        // SAFETY: ending twice does nothing; after it nobody writes to what is read here.
        let total = unsafe {
            sys::ft_flops_end();
            sys::ft_flops_total()
        };
        // SAFETY: as above.
        let uses = unsafe { sys::ft_flops_uses() };
        Flops { total: total as u64, uses: (0..uses).map(layer_use).collect() }
    }
}

impl Drop for FlopCounter {
    fn drop(&mut self) {
        // SAFETY: ending twice does nothing.
        unsafe { sys::ft_flops_end() }
    }
}

fn layer_use(index: i32) -> LayerUse {
    let (mut param, mut flops) = (0, 0.0);
    let (mut input, mut output, mut inputs, mut outputs) = ([0; 8], [0; 8], 0, 0);
    // SAFETY: the index is below the number of uses; both arrays have the eight places that are written at most.
    unsafe {
        sys::ft_flops_use(
            index,
            &raw mut param,
            &raw mut flops,
            input.as_mut_ptr(),
            &raw mut inputs,
            output.as_mut_ptr(),
            &raw mut outputs,
        );
    }
    LayerUse {
        param: usize::try_from(param).unwrap_or_default(),
        flops: flops as u64,
        input: input.into_iter().take(usize::try_from(inputs).unwrap_or_default()).collect(),
        output: output.into_iter().take(usize::try_from(outputs).unwrap_or_default()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tch::{Device, Kind, no_grad};

    /// One count at a time.
    static ALONE: Mutex<()> = Mutex::new(());

    fn randn(sizes: &[i64]) -> Tensor {
        Tensor::randn(sizes, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn a_linear_layer_is_two_operations_a_weight_and_sample_and_its_use_is_noted() {
        let _alone = ALONE.lock();
        let (x, weight, bias) = (randn(&[5, 3]), randn(&[4, 3]), randn(&[4]));
        let counter = FlopCounter::begin(&[weight.shallow_clone(), bias.shallow_clone()]).unwrap();
        assert!(FlopCounter::begin(&[]).is_err());
        let _ = no_grad(|| x.linear(&weight, Some(&bias)));
        let flops = counter.end();
        assert_eq!(flops.total, 2 * 5 * 3 * 4);
        assert_eq!(flops.uses, [LayerUse { param: 0, flops: 120, input: vec![5, 3], output: vec![5, 4] }]);
    }

    #[test]
    fn a_backward_pass_is_counted_with_the_gradients_that_it_makes() {
        let _alone = ALONE.lock();
        let x = randn(&[2, 3, 8, 8]);
        let weight = randn(&[4, 3, 3, 3]).set_requires_grad(true);
        let counter = FlopCounter::begin(&[]).unwrap();
        let y = x.conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1);
        y.sum(Kind::Float).backward();
        // Forward, and the weight's gradient; none flows into the input.
        let once = 2 * 2 * 64 * 4 * 3 * 9;
        assert_eq!(counter.end().total, 2 * once);
    }

    /// It has a function of its own, which the counter does not know.
    #[test]
    fn a_convolution_that_could_go_another_way_is_counted() {
        let _alone = ALONE.lock();
        let (x, weight) = (randn(&[2, 32, 8, 8]), randn(&[64, 32, 3, 3]).set_requires_grad(true));
        crate::layout::channels_last(&x).unwrap();
        crate::layout::channels_last(&weight).unwrap();
        let counter = FlopCounter::begin(&[]).unwrap();
        crate::convolution::conv3x3(&x, &weight).unwrap().sum(Kind::Float).backward();
        assert_eq!(counter.end().total, 2 * (2 * 2 * 64 * 64 * 32 * 9));
    }

    #[test]
    fn nothing_is_counted_after_the_end() {
        let _alone = ALONE.lock();
        drop(FlopCounter::begin(&[]).unwrap());
        let _ = randn(&[8, 8]).mm(&randn(&[8, 8]));
        assert_eq!(FlopCounter::begin(&[]).unwrap().end(), Flops::default());
    }
}
