//! libtorch's fused optimizer kernels: one pass over memory for a whole step.

use crate::{TorchError, check, handle, handles, sys};
use std::ptr;
use tch::Tensor;

/// Settings of [`fused_adam`], under torch's names.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two running averages.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Whether the decay is decoupled from the gradient (AdamW, arXiv:1711.05101) or part of it (Adam, arXiv:1412.6980).
    pub decoupled: bool,
}

/// One step on every parameter that has a gradient. `exp_avgs` and `exp_avg_sqs` have the parameters' shapes and
/// layouts; `steps` are `[] f32`, counted up here.
///
/// # Errors
/// When libtorch refuses, for instance on tensors of different devices.
pub fn fused_adam(
    params: &[Tensor],
    exp_avgs: &[Tensor],
    exp_avg_sqs: &[Tensor],
    steps: &[Tensor],
    settings: Adam,
) -> Result<(), TorchError> {
    same_length(params, &[exp_avgs, exp_avg_sqs, steps])?;
    let (param, avg, avg_sq, step) =
        (handles(params), handles(exp_avgs), handles(exp_avg_sqs), handles(steps));
    let Adam { lr, betas, eps, weight_decay, decoupled } = settings;
    // SAFETY: four arrays of `count` live tensors each, borrowed for the length of the call.
    check(unsafe {
        sys::ft_fused_adam(
            param.as_ptr(),
            avg.as_ptr(),
            avg_sq.as_ptr(),
            step.as_ptr(),
            count(params)?,
            lr,
            betas.0,
            betas.1,
            weight_decay,
            eps,
            decoupled.into(),
        )
    })
}

/// Settings of [`fused_sgd`], under torch's names.
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Momentum factor; 0 for none.
    pub momentum: f64,
    /// Dampening of the momentum.
    pub dampening: f64,
    /// Weight decay (L2).
    pub weight_decay: f64,
    /// Nesterov's form of the momentum.
    pub nesterov: bool,
}

/// One step on every parameter that has a gradient. `momentum_buffers` is empty where momentum is 0; on the `first`
/// step they are filled rather than read.
///
/// # Errors
/// When libtorch refuses.
pub fn fused_sgd(
    params: &[Tensor],
    momentum_buffers: &[Tensor],
    settings: Sgd,
    first: bool,
) -> Result<(), TorchError> {
    let Sgd { lr, momentum, dampening, weight_decay, nesterov } = settings;
    let param = handles(params);
    let buffers = handles(momentum_buffers);
    if !buffers.is_empty() {
        same_length(params, &[momentum_buffers])?;
    }
    let buffers = if buffers.is_empty() { ptr::null() } else { buffers.as_ptr() };
    // SAFETY: arrays of `count` live tensors, or null, which the shim reads as no momentum.
    check(unsafe {
        sys::ft_fused_sgd(
            param.as_ptr(),
            buffers,
            count(params)?,
            lr,
            momentum,
            dampening,
            weight_decay,
            nesterov.into(),
            first.into(),
        )
    })
}

fn same_length(params: &[Tensor], others: &[&[Tensor]]) -> Result<(), TorchError> {
    if others.iter().all(|other| other.len() == params.len()) {
        return Ok(());
    }
    Err(TorchError("the optimizer's state does not match its parameters".to_owned()))
}

pub(crate) fn count(tensors: &[Tensor]) -> Result<i32, TorchError> {
    i32::try_from(tensors.len()).map_err(|_| TorchError("too many tensors".to_owned()))
}

/// Whether autograd left a gradient on `param`.
pub fn has_gradient(param: &Tensor) -> bool {
    debug_assert!(!handle(param).is_null());
    param.grad().defined()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

    /// A parameter of value 1 whose gradient is 2.
    fn param() -> Tensor {
        let param = Tensor::ones([3], OPTIONS).set_requires_grad(true);
        (&param * 2.0).sum(Kind::Float).backward();
        param
    }

    #[test]
    fn a_first_adamw_step_moves_by_the_learning_rate_after_decay() {
        let params = [param()];
        let zeros = || [Tensor::zeros([3], OPTIONS)];
        let settings = Adam { lr: 0.1, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.5, decoupled: true };
        fused_adam(&params, &zeros(), &zeros(), &[Tensor::zeros([], OPTIONS)], settings).unwrap();
        // 1 − lr·wd, then one step of size lr in the gradient's direction.
        assert!((params[0].double_value(&[0]) - (0.95 - 0.1)).abs() < 1e-6);
    }

    #[test]
    fn sgd_without_momentum_is_gradient_descent_and_skips_what_has_no_gradient() {
        let params = [param(), Tensor::ones([2], OPTIONS).set_requires_grad(true)];
        let settings = Sgd { lr: 0.25, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false };
        fused_sgd(&params, &[], settings, true).unwrap();
        assert_eq!((params[0].double_value(&[1]), params[1].double_value(&[1])), (0.5, 1.0));
        assert!(has_gradient(&params[0]) && !has_gradient(&params[1]));
    }

    #[test]
    fn state_that_does_not_match_is_refused() {
        let settings = Adam { lr: 0.1, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, decoupled: true };
        assert!(fused_adam(&[param()], &[], &[], &[], settings).is_err());
    }
}
