//! Convolutions of images.

use crate::{TorchError, check, handle, sys};
use std::ptr;
use tch::Tensor;

/// The convolution of `input [B, I, H, W]` by `weight [O, I, 3, 3]` with stride 1, padding 1 and no bias: `[B, O, H, W]`.
///
/// In f32 on a CPU with AVX-512, both NHWC and of at least 32 channels, a multiple of 16: Winograd's F(2×2, 3×3) (Lavin and Gray
/// 2016, arXiv:1509.09308), one and a half times to twice as fast as libtorch's; the error of the
/// weight's gradient may be three times as large (some 1e-6 of its largest value). Otherwise, and under autocast, libtorch's.
///
/// # Errors
/// When shapes do not fit each other.
pub fn conv3x3(input: &Tensor, weight: &Tensor) -> Result<Tensor, TorchError> {
    let mut output = ptr::null_mut();
    // SAFETY: two live tensors, borrowed for the length of the call, whose types and sizes the shim looks at; `output` is
    // written only where 0 is returned, and then owns a new tensor.
    unsafe {
        check(sys::ft_conv3x3(handle(input), handle(weight), &raw mut output))?;
        Ok(Tensor::from_ptr(output.cast()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::channels_last;
    use tch::{Device, Kind};

    fn convolve(input: &Tensor, weight: &Tensor) -> Tensor {
        conv3x3(input, weight).unwrap()
    }

    fn libtorchs(input: &Tensor, weight: &Tensor) -> Tensor {
        input.conv2d(weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)
    }

    /// The convolution, and the gradients of input and kernels.
    fn everything(run: fn(&Tensor, &Tensor) -> Tensor, input: &Tensor, weight: &Tensor) -> [Tensor; 3] {
        let leaves = [input, weight].map(|one| one.detach().copy().set_requires_grad(true));
        for leaf in &leaves {
            channels_last(leaf).unwrap();
        }
        let output = run(&leaves[0], &leaves[1]);
        output.sin().sum(output.kind()).backward();
        [output.detach(), leaves[0].grad(), leaves[1].grad()]
    }

    #[test]
    fn values_and_gradients_are_those_in_f64_for_even_and_odd_images_and_channels() {
        tch::manual_seed(5);
        // More tiles than a chunk, a thread or a group of chunks takes and more channels than are taken at once, too; the last ones are
        // libtorch's own.
        for size in [
            [2, 32, 48, 5, 7],
            [3, 64, 64, 8, 2],
            [20, 64, 32, 32, 33],
            [2, 160, 144, 5, 4],
            [9, 256, 256, 16, 16],
            [2, 512, 272, 4, 3],
            [2, 40, 32, 6, 6],
            [2, 3, 64, 6, 6],
        ] {
            let [batch, inputs, outputs, height, width] = size;
            let options = (Kind::Double, Device::Cpu);
            let input = Tensor::randn([batch, inputs, height, width], options);
            let weight = Tensor::randn([outputs, inputs, 3, 3], options) * 0.1;
            let expected = everything(libtorchs, &input, &weight);
            let single = everything(convolve, &input.to_kind(Kind::Float), &weight.to_kind(Kind::Float));
            for (single, expected) in single.iter().zip(&expected) {
                let apart = (single.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
                let scale = expected.abs().max().double_value(&[]);
                assert!(apart < 1e-5 * scale, "{size:?}: {apart} of {scale}");
            }
        }
    }

    #[test]
    fn the_same_step_has_the_same_bits() {
        let options = (Kind::Float, Device::Cpu);
        let (input, weight) =
            (Tensor::randn([20, 64, 32, 32], options), Tensor::randn([64, 64, 3, 3], options));
        let once = everything(convolve, &input, &weight);
        for _ in 0..5 {
            let again = everything(convolve, &input, &weight);
            assert!(once.iter().zip(&again).all(|(one, other)| one.equal(other)));
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_an_error() {
        let options = (Kind::Float, Device::Cpu);
        assert!(
            conv3x3(&Tensor::zeros([1, 32, 4, 4], options), &Tensor::zeros([32, 64, 3, 3], options)).is_err()
        );
    }
}
