//! The MLP of a transformer.

use crate::{TorchError, check, handle, sys};
use std::ptr;
use tch::Tensor;

/// Which Gaussian error linear unit (Hendrycks and Gimpel 2016, arXiv:1606.08415).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gelu {
    /// By the normal distribution itself.
    Exact,
    /// By its approximation with tanh.
    Tanh,
}

/// A linear layer: `x · weight + bias`, weight `[I, O]`, bias `[O]`. The weight of torch's `nn.Linear` is the transpose.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// `[I, O]`, in either order of memory.
    pub weight: &'a Tensor,
    /// `[O]`.
    pub bias: &'a Tensor,
}

/// `down(gelu(up(x)))`: `[…, I] → […, H] → […, O]`, with gradients of all five.
///
/// In f32 on a CPU with AVX-512, for 128 rows or more and at most 2²⁰ weights a layer, one function of ours that never writes the
/// activations to memory; otherwise, and under autocast, libtorch's operators.
///
/// # Errors
/// When sizes do not fit each other.
pub fn feed_forward(x: &Tensor, up: Layer<'_>, gelu: Gelu, down: Layer<'_>) -> Result<Tensor, TorchError> {
    let mut output = ptr::null_mut();
    // SAFETY: five live tensors, borrowed for the length of the call, whose types and sizes the shim looks at; `output` is
    // written only where 0 is returned, and then owns a new tensor.
    unsafe {
        check(sys::ft_feed_forward(
            handle(x),
            handle(up.weight),
            handle(up.bias),
            handle(down.weight),
            handle(down.bias),
            (gelu == Gelu::Tanh).into(),
            &raw mut output,
        ))?;
        Ok(Tensor::from_ptr(output.cast()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Input, both weights and biases.
    fn operands([rows, inputs, middle, outputs]: [i64; 4], turned: bool) -> [Tensor; 5] {
        let randn = |sizes: &[i64]| Tensor::randn(sizes, (Kind::Double, Device::Cpu));
        let weight = |rows, columns| {
            let weight = if turned { randn(&[columns, rows]).tr() } else { randn(&[rows, columns]) };
            weight * 0.2
        };
        [
            randn(&[2, rows / 2, inputs]),
            weight(inputs, middle),
            randn(&[middle]),
            weight(middle, outputs),
            randn(&[outputs]),
        ]
    }

    /// The output, and the gradients of all five.
    fn everything(operands: &[Tensor; 5], kind: Kind, gelu: Gelu) -> Vec<Tensor> {
        let leaves = operands.each_ref().map(|one| one.to_kind(kind).detach().set_requires_grad(true));
        let [x, up, up_bias, down, down_bias] = &leaves;
        let up = Layer { weight: up, bias: up_bias };
        let down = Layer { weight: down, bias: down_bias };
        let output = feed_forward(x, up, gelu, down).unwrap();
        output.sin().sum(kind).backward();
        [output.detach()].into_iter().chain(leaves.iter().map(Tensor::grad)).collect()
    }

    #[test]
    fn values_and_gradients_are_those_in_f64_in_both_orders_and_for_uneven_sizes() {
        tch::manual_seed(7);
        // The last has too few rows for the function of ours, as f64 is no type for it.
        for sizes in [[128, 32, 64, 32], [700, 40, 100, 72], [300, 17, 130, 65], [64, 32, 64, 32]] {
            for (turned, gelu) in [(false, Gelu::Exact), (true, Gelu::Exact), (true, Gelu::Tanh)] {
                let operands = operands(sizes, turned);
                let expected = everything(&operands, Kind::Double, gelu);
                let single = everything(&operands, Kind::Float, gelu);
                for (single, expected) in single.iter().zip(&expected) {
                    let apart = (single.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
                    let scale = expected.abs().max().double_value(&[]);
                    assert!(apart < 1e-5 * scale, "{sizes:?} {turned} {gelu:?}: {apart} of {scale}");
                }
            }
        }
    }

    #[test]
    fn the_same_step_has_the_same_bits() {
        let operands = operands([1024, 64, 256, 64], false);
        let once = everything(&operands, Kind::Float, Gelu::Exact);
        for _ in 0..5 {
            let again = everything(&operands, Kind::Float, Gelu::Exact);
            assert!(once.iter().zip(&again).all(|(one, other)| one.equal(other)));
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_an_error() {
        let zeros = |sizes: &[i64]| Tensor::zeros(sizes, (Kind::Float, Device::Cpu));
        let (weight, bias) = (zeros(&[32, 64]), zeros(&[64]));
        let up = Layer { weight: &weight, bias: &bias };
        assert!(feed_forward(&zeros(&[256, 32]), up, Gelu::Exact, up).is_err());
    }
}
