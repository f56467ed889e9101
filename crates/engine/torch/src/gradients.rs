//! Gradients of many parameters at once. Parameters without a gradient are passed over; nothing waits for the device.

use std::ptr;

use tch::Tensor;

use crate::{TorchError, check, handle, handles, sys};

/// Whether autograd left a gradient on `param`.
pub fn is_present(param: &Tensor) -> bool {
    param.grad().defined()
}

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

/// The joint norm of all gradients (`[] f32`, or of their own wider type), of order `norm_type`: 2, 1, or infinity for the
/// largest magnitude. 0 where there is no gradient.
///
/// # Errors
/// When libtorch refuses.
pub fn norm(params: &[Tensor], norm_type: f64) -> Result<Tensor, TorchError> {
    let param = handles(params);
    let mut norm = ptr::null_mut();
    // SAFETY: as in `clear`; `norm` is written only where 0 is returned, and then owns a new tensor.
    unsafe {
        check(sys::ft_gradient_norm(param.as_ptr(), count(params)?, norm_type, &raw mut norm))?;
        Ok(Tensor::from_ptr(norm.cast()))
    }
}

/// Scales all gradients so that their joint norm of order `norm_type` is at most `max_norm`, as
/// `torch.nn.utils.clip_grad_norm_`, and returns [`norm`] as it was before.
///
/// # Errors
/// When libtorch refuses.
pub fn clip_norm(params: &[Tensor], max_norm: f64, norm_type: f64) -> Result<Tensor, TorchError> {
    let param = handles(params);
    let mut norm = ptr::null_mut();
    // SAFETY: as in `norm`.
    unsafe {
        let clipped =
            sys::ft_clip_gradient_norm(param.as_ptr(), count(params)?, max_norm, norm_type, &raw mut norm);
        check(clipped)?;
        Ok(Tensor::from_ptr(norm.cast()))
    }
}

/// Clamps each gradient value to `-max_value ..= max_value`.
///
/// # Errors
/// When libtorch refuses.
pub fn clip_value(params: &[Tensor], max_value: f64) -> Result<(), TorchError> {
    let param = handles(params);
    // SAFETY: as in `clear`.
    check(unsafe { sys::ft_clip_gradient_value(param.as_ptr(), count(params)?, max_value) })
}

/// Multiplies all gradients by `inv_scale` (`[1] f32`) and sets `found_inf` (`[1] f32`) to 1 where one of them is not finite:
/// the first half of what torch's `GradScaler` does before a step. `found_inf` is never set back to 0 here.
///
/// # Errors
/// When libtorch refuses, for instance on tensors of another device.
pub fn scale_and_check(params: &[Tensor], inv_scale: &Tensor, found_inf: &Tensor) -> Result<(), TorchError> {
    let param = handles(params);
    // SAFETY: as in `clear`; the two tensors are borrowed for the length of the call.
    check(unsafe {
        sys::ft_unscale_gradients(param.as_ptr(), count(params)?, handle(inv_scale), handle(found_inf))
    })
}

/// How a loss scale moves; torch's `GradScaler` has 2, 0.5 and 2000.
#[derive(Debug, Clone, Copy)]
pub struct ScaleSettings {
    /// Factor after `growth_interval` steps without infinities.
    pub growth_factor: f64,
    /// Factor after a step with infinities.
    pub backoff_factor: f64,
    /// Steps between two growths.
    pub growth_interval: i32,
}

/// Moves the loss scale (`[1] f32`) by what [`scale_and_check`] found; `growth_tracker` (`[1] i32`) counts the steps since.
///
/// # Errors
/// When libtorch refuses, for instance on tensors of another type.
pub fn amp_update_scale(
    scale: &Tensor,
    growth_tracker: &Tensor,
    found_inf: &Tensor,
    settings: ScaleSettings,
) -> Result<(), TorchError> {
    let ScaleSettings { growth_factor, backoff_factor, growth_interval } = settings;
    // SAFETY: three live tensors, borrowed for the length of the call.
    check(unsafe {
        sys::ft_update_scale(
            handle(scale),
            handle(growth_tracker),
            handle(found_inf),
            growth_factor,
            backoff_factor,
            growth_interval,
        )
    })
}

pub(crate) fn count(tensors: &[Tensor]) -> Result<i32, TorchError> {
    i32::try_from(tensors.len()).map_err(|_| TorchError("too many tensors".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn param(gradient: f64) -> Tensor {
        typed(gradient, Kind::Float)
    }

    fn typed(gradient: f64, kind: Kind) -> Tensor {
        let param = Tensor::ones([1], (kind, Device::Cpu)).set_requires_grad(true);
        (&param * gradient).sum(kind).backward();
        param
    }

    fn gradient(param: &Tensor) -> f64 {
        param.grad().double_value(&[0])
    }

    #[test]
    fn a_norm_of_five_is_scaled_to_one_and_told() {
        let params = [param(3.0), typed(4.0, Kind::Double)];
        assert!((norm(&params, 2.0).unwrap().double_value(&[]) - 5.0).abs() < 1e-6);
        let before = clip_norm(&params, 1.0, 2.0).unwrap();
        assert!((before.double_value(&[]) - 5.0).abs() < 1e-6);
        assert!((gradient(&params[0]) - 0.6).abs() < 1e-5 && (gradient(&params[1]) - 0.8).abs() < 1e-5);
    }

    #[test]
    fn the_infinity_norm_is_the_largest_magnitude() {
        let params = [param(3.0), param(-4.0)];
        assert_eq!(clip_norm(&params, 2.0, f64::INFINITY).unwrap().double_value(&[]), 4.0);
        assert!((gradient(&params[0]) - 1.5).abs() < 1e-5);
    }

    #[test]
    fn values_are_clamped_and_cleared_gradients_are_gone() {
        let params = [param(3.0), param(-3.0)];
        clip_value(&params, 0.5).unwrap();
        assert_eq!((gradient(&params[0]), gradient(&params[1])), (0.5, -0.5));
        clear(&params).unwrap();
        assert!(!is_present(&params[0]));
        assert_eq!(clip_norm(&params, 1.0, 2.0).unwrap().double_value(&[]), 0.0);
    }

    #[test]
    fn a_loss_scale_is_taken_off_and_backs_off_after_an_infinity() {
        let settings = ScaleSettings { growth_factor: 2.0, backoff_factor: 0.5, growth_interval: 1 };
        let scale = Tensor::from_slice(&[8.0f32]);
        let tracker = Tensor::zeros([1], (Kind::Int, Device::Cpu));
        let found = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        let params = [param(16.0), typed(8.0, Kind::BFloat16), typed(4.0, Kind::Double)];
        scale_and_check(&params, &scale.reciprocal(), &found).unwrap();
        assert_eq!(params.each_ref().map(gradient), [2.0, 1.0, 0.5]);
        amp_update_scale(&scale, &tracker, &found, settings).unwrap();
        assert_eq!((found.double_value(&[0]), scale.double_value(&[0])), (0.0, 16.0));
        scale_and_check(&[param(1.0), param(f64::INFINITY)], &scale.reciprocal(), &found).unwrap();
        amp_update_scale(&scale, &tracker, &found, settings).unwrap();
        assert_eq!((found.double_value(&[0]), scale.double_value(&[0])), (1.0, 8.0));
    }
}
