//! Optimizer steps for many parameters at once: libtorch's fused kernels, and its operators for many tensors where there is none.

use std::ptr;

use fulmen_torch_sys::{self as sys, TensorHandle};
use tch::Tensor;

use crate::{TorchError, check, handle};

pub use fulmen_torch_sys::{Adafactor, Adagrad, Adam, Lamb, Lion, Muon, NAdam, RAdam, RmsProp, Sgd};

/// Parameters and what an optimizer keeps for each, laid out once for all steps.
///
/// The tensors are never replaced, only written to, so that the handles that libtorch is given stay the same.
#[derive(Debug)]
pub struct Rows {
    /// Row by row: a parameter, then its state. Keeps `handles` alive.
    tensors: Vec<Tensor>,
    handles: Vec<TensorHandle>,
    count: usize,
    width: usize,
}

// SAFETY: `handles` points to `tensors`, which this owns and which are themselves `Send`; nothing else holds the pointers.
unsafe impl Send for Rows {}

impl Rows {
    /// For each parameter its state, in the order that the algorithm has; an undefined tensor ([`Tensor::new`]) where there is
    /// none for this parameter.
    ///
    /// # Errors
    /// When parameters have different numbers of states.
    pub fn new(rows: impl IntoIterator<Item = (Tensor, Vec<Tensor>)>) -> Result<Self, TorchError> {
        let (mut tensors, mut count, mut width) = (Vec::new(), 0, 1);
        for (param, state) in rows {
            if count > 0 && state.len() + 1 != width {
                return Err(TorchError("the optimizer's state does not match its parameters".to_owned()));
            }
            width = state.len() + 1;
            count += 1;
            tensors.push(param);
            tensors.extend(state);
        }
        let handles = tensors.iter().map(handle).collect();
        Ok(Self { tensors, handles, count, width })
    }

    /// The `index`-th state of the `row`-th parameter.
    pub fn state(&self, row: usize, index: usize) -> Option<&Tensor> {
        self.tensors.get(row * self.width + 1 + index).filter(|_| index + 1 < self.width)
    }

    /// One step on every parameter that has a gradient; the others and their state stay as they are.
    ///
    /// # Errors
    /// When libtorch refuses, or the algorithm keeps another number of states.
    pub fn step(&mut self, settings: &impl Step) -> Result<(), TorchError> {
        let int = |size| i32::try_from(size).map_err(|_| TorchError("too many tensors".to_owned()));
        let handles = if self.handles.is_empty() { ptr::null() } else { self.handles.as_ptr() };
        settings.step(sys::Rows { handles, count: int(self.count)?, width: int(self.width)? })
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Settings that a step can be made with; each field has torch's name.
pub trait Step: sealed::Sealed {
    /// Calls libtorch.
    #[doc(hidden)]
    fn step(&self, rows: sys::Rows) -> Result<(), TorchError>;
}

macro_rules! steps {
    ($($settings:ident => $function:ident),* $(,)?) => { $(
        impl sealed::Sealed for $settings {}
        impl Step for $settings {
            fn step(&self, rows: sys::Rows) -> Result<(), TorchError> {
                // SAFETY: `rows` comes from `Rows::step`: count * width handles of tensors that live as long as the call, each
                // parameter's state as wide as the shim asks for, else it refuses before it reads any.
                check(unsafe { sys::$function(rows, self) })
            }
        }
    )* };
}

steps! {
    Sgd => ft_step_sgd,
    Adam => ft_step_adam,
    Adagrad => ft_step_adagrad,
    NAdam => ft_step_nadam,
    RAdam => ft_step_radam,
    RmsProp => ft_step_rmsprop,
    Adafactor => ft_step_adafactor,
    Lamb => ft_step_lamb,
    Lion => ft_step_lion,
    Muon => ft_step_muon,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::channels_last;
    use tch::{Device, Kind};

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);
    const SGD: Sgd =
        Sgd { lr: 0.25, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: 0, maximize: 0 };

    /// A parameter of value 1 whose gradient is 2.
    fn param(kind: Kind) -> Tensor {
        let param = Tensor::ones([3], (kind, Device::Cpu)).set_requires_grad(true);
        (&param * 2.0).sum(kind).backward();
        param
    }

    #[test]
    fn parameters_of_several_types_move_in_one_step_and_what_has_no_gradient_stays() {
        let params = [param(Kind::Float), param(Kind::BFloat16), param(Kind::Double)];
        let still = Tensor::ones([2], OPTIONS).set_requires_grad(true);
        let all = params.iter().chain([&still]).map(|param| (param.shallow_clone(), Vec::new()));
        Rows::new(all).unwrap().step(&SGD).unwrap();
        assert!(params.iter().all(|param| param.double_value(&[1]) == 0.5));
        assert_eq!(still.double_value(&[1]), 1.0);
    }

    /// The CPU's kernels walk memory: whatever the order of parameter, gradient and state, number goes to number.
    #[test]
    fn the_order_of_numbers_in_memory_does_not_matter() {
        tch::manual_seed(3);
        let (start, slope) = (Tensor::randn([4, 2, 3, 3], OPTIONS), Tensor::randn([4, 2, 3, 3], OPTIONS));
        let settings = Adam {
            lr: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 0.1,
            eps: 1e-8,
            decoupled: 1,
            amsgrad: 0,
            maximize: 0,
        };
        let run = |param_moves: bool, gradient_moves: bool, state_moves: bool| {
            let laid = |tensor: Tensor, moves: bool| {
                if moves {
                    channels_last(&tensor).unwrap();
                }
                tensor
            };
            let param = laid(start.copy().set_requires_grad(true), param_moves);
            let state = || laid(Tensor::zeros([4, 2, 3, 3], OPTIONS), state_moves);
            let mut rows =
                Rows::new([(param.shallow_clone(), vec![state(), state(), Tensor::from(0.0f32)])]).unwrap();
            for _ in 0..3 {
                let mut gradient = param.grad();
                if gradient.defined() {
                    let _ = gradient.zero_();
                }
                (&param * laid(slope.copy(), gradient_moves)).sum(Kind::Float).backward();
                rows.step(&settings).unwrap();
            }
            param.detach()
        };
        let expected = run(false, false, false);
        for (gradient, state) in [(true, true), (false, true)] {
            assert!(run(true, gradient, state).equal(&expected));
        }
    }

    #[test]
    fn state_that_does_not_match_is_refused() {
        let zero = || Tensor::zeros([3], OPTIONS);
        let uneven = [(param(Kind::Float), vec![zero()]), (param(Kind::Float), Vec::new())];
        assert!(Rows::new(uneven).is_err());
        let mut rows = Rows::new([(param(Kind::Float), vec![zero()])]).unwrap();
        assert!(rows.step(&SGD).unwrap_err().0.contains("1 tensors a parameter"));
        assert!(rows.state(0, 0).is_some() && rows.state(0, 1).is_none() && rows.state(1, 0).is_none());
    }
}
