//! Long short-term memory.

use crate::{TorchError, check, handle, handles, sys};
use std::ptr;
use tch::Tensor;

/// How [`lstm`] runs.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Share of the features that is dropped between layers, in training.
    pub dropout: f64,
    /// Whether this is training.
    pub train: bool,
}

/// torch's `nn.LSTM` with biases, one direction, batch first: `input [B, T, I]` and the states before the first step, `h0` and
/// `c0` `[layers, B, H]`, give the output `[B, T, H]` and the states behind the last one. `weights` holds `weight_ih [4·H, I]`,
/// `weight_hh [4·H, H]`, `bias_ih [4·H]`, `bias_hh [4·H]` of each layer, one after the other.
///
/// In f32 on the CPU a kernel of ours, several times as fast as libtorch's; otherwise, and under autocast, libtorch's.
///
/// # Errors
/// When sizes do not fit each other, or libtorch refuses.
pub fn lstm(
    input: &Tensor,
    [h0, c0]: [&Tensor; 2],
    weights: &[Tensor],
    Options { dropout, train }: Options,
) -> Result<(Tensor, Tensor, Tensor), TorchError> {
    let layers = check_sizes(input, [h0, c0], weights)?;
    let weight = handles(weights);
    let mut results = [ptr::null_mut(); 3];
    let [output, h_n, c_n] = &mut results;
    // SAFETY: live tensors, borrowed for the length of the call, four a layer; sizes fit, as checked above. The results are
    // written only where 0 is returned, and then own new tensors.
    unsafe {
        check(sys::ft_lstm(
            handle(input),
            handle(h0),
            handle(c0),
            weight.as_ptr(),
            layers,
            dropout,
            train.into(),
            output,
            h_n,
            c_n,
        ))?;
        let [output, h_n, c_n] = results.map(|result| Tensor::from_ptr(result.cast()));
        Ok((output, h_n, c_n))
    }
}

/// The number of layers, once all sizes fit: the kernel reads what it is promised.
fn check_sizes(input: &Tensor, states: [&Tensor; 2], weights: &[Tensor]) -> Result<i32, TorchError> {
    let fail = |what: &str, found: &[i64], expected: &[i64]| {
        Err(TorchError(format!("lstm: {what} is {found:?}, expected {expected:?}")))
    };
    let &[batch, _, mut inputs] = input.size().as_slice() else {
        return fail("the input", &input.size(), &[-1, -1, -1]);
    };
    let layers = weights.len() / 4;
    if layers == 0 || !weights.len().is_multiple_of(4) {
        return Err(TorchError(format!("lstm: {} weights, expected four a layer", weights.len())));
    }
    let size = weights[1].size().last().copied().unwrap_or_default();
    for state in states {
        let expected = [layers as i64, batch, size];
        if state.size() != expected {
            return fail("a state", &state.size(), &expected);
        }
    }
    for weights in weights.chunks_exact(4) {
        let expected: [&[i64]; 4] = [&[4 * size, inputs], &[4 * size, size], &[4 * size], &[4 * size]];
        for (weight, expected) in weights.iter().zip(expected) {
            if weight.size() != expected {
                return fail("a weight", &weight.size(), expected);
            }
        }
        inputs = size;
    }
    i32::try_from(layers).map_err(|_| TorchError("lstm: too many layers".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);
    const EVAL: Options = Options { dropout: 0.0, train: false };

    /// Input, two states and the weights of two layers, each a leaf that wants its gradient.
    fn leaves(batch: i64, steps: i64, inputs: i64, size: i64) -> Vec<Tensor> {
        tch::manual_seed(3);
        let mut sizes = vec![vec![batch, steps, inputs], vec![2, batch, size], vec![2, batch, size]];
        for inputs in [inputs, size] {
            sizes.extend([vec![4 * size, inputs], vec![4 * size, size], vec![4 * size], vec![4 * size]]);
        }
        sizes
            .iter()
            .map(|size| (Tensor::randn(size, OPTIONS) * 0.3).detach().set_requires_grad(true))
            .collect()
    }

    type Results = (Tensor, Tensor, Tensor);

    fn ours(leaves: &[Tensor]) -> Results {
        lstm(&leaves[0], [&leaves[1], &leaves[2]], &leaves[3..], EVAL).unwrap()
    }

    fn libtorchs(leaves: &[Tensor]) -> Results {
        leaves[0].lstm(&leaves[1..3], &leaves[3..], true, 2, 0.0, false, false, true)
    }

    /// What comes out, and every leaf's gradient, for a loss over the results that `used` picks.
    fn everything(
        run: fn(&[Tensor]) -> Results,
        leaves: &[Tensor],
        used: fn(&Results) -> Vec<&Tensor>,
    ) -> Vec<Tensor> {
        for leaf in leaves {
            leaf.shallow_clone().zero_grad();
        }
        let results = run(leaves);
        let loss: Tensor = used(&results).iter().map(|one| one.sin().sum(Kind::Float)).sum();
        loss.backward();
        let gradients = leaves.iter().map(|leaf| {
            let gradient = leaf.grad();
            if gradient.defined() { gradient.copy() } else { leaf.zeros_like() }
        });
        [results.0.detach(), results.1.detach(), results.2.detach()].into_iter().chain(gradients).collect()
    }

    #[test]
    fn values_and_gradients_are_libtorchs_whichever_results_are_used() {
        let uses: [fn(&Results) -> Vec<&Tensor>; 3] = [
            |results| vec![&results.0, &results.1, &results.2],
            |results| vec![&results.1],
            |results| vec![&results.0],
        ];
        for (batch, steps, inputs, size) in [(1, 1, 1, 1), (5, 9, 7, 12), (33, 12, 3, 40)] {
            let leaves = leaves(batch, steps, inputs, size);
            for used in uses {
                let pairs =
                    everything(ours, &leaves, used).into_iter().zip(everything(libtorchs, &leaves, used));
                for (index, (ours, theirs)) in pairs.enumerate() {
                    let apart = (&ours - &theirs).abs().max().double_value(&[]);
                    let scale = theirs.abs().max().double_value(&[]).max(1.0);
                    assert!(
                        apart <= 1e-5 * scale,
                        "{index} of B={batch} T={steps} I={inputs} H={size}: {apart}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_same_step_has_the_same_bits() {
        let leaves = leaves(33, 12, 3, 40);
        let once = everything(ours, &leaves, |results| vec![&results.0]);
        for _ in 0..5 {
            let again = everything(ours, &leaves, |results| vec![&results.0]);
            assert!(once.iter().zip(&again).all(|(one, other)| one.equal(other)));
        }
    }

    #[test]
    fn dropout_falls_between_layers_in_training_alone_and_other_types_run_too() {
        let leaves = leaves(4, 6, 3, 8);
        let run = |dropout, train| {
            lstm(&leaves[0], [&leaves[1], &leaves[2]], &leaves[3..], Options { dropout, train }).unwrap().0
        };
        assert!(run(0.0, true).equal(&run(0.5, false)));
        assert!(!run(0.0, true).equal(&run(0.5, true)));
        let doubles: Vec<_> = leaves.iter().map(|leaf| leaf.to_kind(Kind::Double)).collect();
        assert!(ours(&doubles).0.to_kind(Kind::Float).allclose(&run(0.0, false), 1e-5, 1e-6, false));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused_by_name() {
        let leaves = leaves(4, 6, 3, 8);
        let narrow = Tensor::zeros([4, 6, 2], OPTIONS);
        let error = lstm(&narrow, [&leaves[1], &leaves[2]], &leaves[3..], EVAL).unwrap_err();
        assert_eq!(error.to_string(), "lstm: a weight is [32, 3], expected [32, 2]");
        assert!(lstm(&leaves[0], [&leaves[0], &leaves[2]], &leaves[3..], EVAL).is_err());
        assert!(lstm(&leaves[0], [&leaves[1], &leaves[2]], &leaves[3..6], EVAL).is_err());
    }
}
