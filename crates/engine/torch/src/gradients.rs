//! Gradients of many parameters at once.

use crate::optimizers::count;
use crate::{TorchError, check, handle, handles, sys};
use std::ptr;
use tch::Tensor;

/// Frees the gradients, as `zero_grad(set_to_none=True)`: the next backward pass stores rather than adds.
///
/// # Errors
/// When libtorch refuses.
pub fn clear(params: &[Tensor]) -> Result<(), TorchError> {
    let param = handles(params);
    // SAFETY: an array of `count` live tensors, borrowed for the length of the call.
    check(unsafe { sys::ft_clear_gradients(param.as_ptr(), count(params)?) })
}

/// Puts a copy of `gradient` in place as the gradient of `param`, as a backward pass would have left it.
///
/// # Errors
/// When the two differ in shape.
pub fn set(param: &Tensor, gradient: &Tensor) -> Result<(), TorchError> {
    // SAFETY: two live tensors, borrowed for the length of the call.
    check(unsafe { sys::ft_set_gradient(handle(param), handle(gradient)) })
}

/// Scales all gradients so that their joint 2-norm is at most `max_norm`, as `torch.nn.utils.clip_grad_norm_`, and
/// returns the norm before (`[] f32`) without waiting for the device.
///
/// # Errors
/// When no parameter has a gradient.
pub fn clip_norm(params: &[Tensor], max_norm: f64) -> Result<Tensor, TorchError> {
    let param = handles(params);
    let mut norm = ptr::null_mut();
    // SAFETY: as above; `norm` is written only where 0 is returned, and then owns a new tensor.
    unsafe {
        check(sys::ft_clip_gradient_norm(param.as_ptr(), count(params)?, max_norm, &raw mut norm))?;
        Ok(Tensor::from_ptr(norm.cast()))
    }
}

/// Clamps each gradient value to `-max_value ..= max_value`.
///
/// # Errors
/// When libtorch refuses.
pub fn clip_value(params: &[Tensor], max_value: f64) -> Result<(), TorchError> {
    let param = handles(params);
    // SAFETY: as above.
    check(unsafe { sys::ft_clip_gradient_value(param.as_ptr(), count(params)?, max_value) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn param(gradient: f64) -> Tensor {
        let param = Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        (&param * gradient).sum(Kind::Float).backward();
        param
    }

    #[test]
    fn a_norm_of_five_is_scaled_to_one_and_told() {
        let params = [param(3.0), param(4.0)];
        let norm = clip_norm(&params, 1.0).unwrap();
        assert!((norm.double_value(&[]) - 5.0).abs() < 1e-6);
        assert!((params[1].grad().double_value(&[0]) - 0.8).abs() < 1e-5);
    }

    #[test]
    fn values_are_clamped_and_cleared_gradients_are_gone() {
        let params = [param(3.0)];
        clip_value(&params, 0.5).unwrap();
        assert_eq!(params[0].grad().double_value(&[0]), 0.5);
        clear(&params).unwrap();
        assert!(!params[0].grad().defined());
        assert!(clip_norm(&params, 1.0).is_err());
    }
}
