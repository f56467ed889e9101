//! Attention of a sequence to itself.

use crate::{TorchError, check, handle, sys};
use std::ptr;
use tch::Tensor;

/// How [`self_attention`] runs.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many heads share the features.
    pub heads: i64,
    /// Share of the attention's weights that is dropped.
    pub dropout: f64,
    /// Whether a place sees none behind it.
    pub causal: bool,
}

/// `softmax(q kᵀ / √(D / heads)) v` of each head, where `projection [B, T, 3·D]` holds q, k and v one behind the other: `[B, T, D]`.
///
/// In f32 on the CPU and without dropout the gradient is written in one piece; otherwise, and under autocast, these are libtorch's operators.
///
/// # Errors
/// When the sizes do not fit.
pub fn self_attention(
    projection: &Tensor,
    Options { heads, dropout, causal }: Options,
) -> Result<Tensor, TorchError> {
    let mut output = ptr::null_mut();
    // SAFETY: a live tensor, borrowed for the length of the call, whose type and sizes the shim looks at; `output` is written
    // only where 0 is returned, and then owns a new tensor.
    unsafe {
        check(sys::ft_self_attention(handle(projection), heads, dropout, causal.into(), &raw mut output))?;
        Ok(Tensor::from_ptr(output.cast()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn randn(sizes: &[i64], kind: Kind) -> Tensor {
        Tensor::randn(sizes, (kind, Device::Cpu))
    }

    #[test]
    fn values_and_gradients_are_those_of_three_tensors_in_f64() {
        tch::manual_seed(11);
        for (sizes, heads, causal) in [([2, 70, 3 * 32], 4, true), ([1, 130, 3 * 24], 3, false)] {
            let whole = randn(&sizes, Kind::Double);
            let run = |kind| {
                let projection = whole.to_kind(kind).detach().set_requires_grad(true);
                let output = self_attention(&projection, Options { heads, dropout: 0.0, causal }).unwrap();
                output.sin().sum(kind).backward();
                [output.detach(), projection.grad()].map(|one| one.to_kind(Kind::Double))
            };
            let apart = |(one, other): (&Tensor, &Tensor)| (one - other).abs().max().double_value(&[]);
            let (single, expected) = (run(Kind::Float), run(Kind::Double));
            assert!(single.iter().zip(&expected).map(apart).all(|apart| apart < 1e-5));

            // The formula, head by head.
            let width = sizes[2] / 3;
            let head = |part: i64, head: i64| {
                let size = width / heads;
                whole.narrow(2, part * width + head * size, size)
            };
            let formula: Vec<Tensor> = (0..heads)
                .map(|one| {
                    let scores = head(0, one).matmul(&head(1, one).transpose(1, 2));
                    let scores = scores / ((width / heads) as f64).sqrt();
                    let hidden = Tensor::ones([sizes[1], sizes[1]], (Kind::Bool, Device::Cpu)).triu(1);
                    let scores = if causal { scores.masked_fill(&hidden, f64::NEG_INFINITY) } else { scores };
                    scores.softmax(-1, Kind::Double).matmul(&head(2, one))
                })
                .collect();
            assert!(apart((&single[0], &Tensor::cat(&formula, 2))) < 1e-5);
        }
    }

    #[test]
    fn dropout_drops_and_sizes_that_do_not_fit_are_an_error() {
        let projection = randn(&[2, 16, 48], Kind::Float);
        let run = |heads, dropout| self_attention(&projection, Options { heads, dropout, causal: true });
        assert!(!run(2, 0.5).unwrap().equal(&run(2, 0.0).unwrap()));
        assert!(run(5, 0.0).is_err() && run(0, 0.0).is_err());
    }
}
