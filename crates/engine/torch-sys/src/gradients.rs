//! Declarations of cpp/gradients.h.

use std::ffi::{c_double, c_int};

use crate::TensorHandle;

// SAFETY: the signatures are those of cpp/gradients.h. Each returns 0, or 1 with the reason in `ft_last_error`.
unsafe extern "C" {
    /// Frees all gradients.
    pub fn ft_clear_gradients(params: *const TensorHandle, count: c_int) -> c_int;
    /// The joint norm; `norm` receives a new tensor that the caller owns.
    pub fn ft_gradient_norm(
        params: *const TensorHandle,
        count: c_int,
        norm_type: c_double,
        norm: *mut TensorHandle,
    ) -> c_int;
    /// Clips by the joint norm; `norm` receives a new tensor that the caller owns.
    pub fn ft_clip_gradient_norm(
        params: *const TensorHandle,
        count: c_int,
        max_norm: c_double,
        norm_type: c_double,
        norm: *mut TensorHandle,
    ) -> c_int;
    /// Clips each value.
    pub fn ft_clip_gradient_value(params: *const TensorHandle, count: c_int, max_value: c_double) -> c_int;
    /// Multiplies by `inv_scale`, sets `found_inf` where a gradient is not finite.
    pub fn ft_unscale_gradients(
        params: *const TensorHandle,
        count: c_int,
        inv_scale: TensorHandle,
        found_inf: TensorHandle,
    ) -> c_int;
    /// Grows or backs off the loss scale.
    pub fn ft_update_scale(
        scale: TensorHandle,
        growth_tracker: TensorHandle,
        found_inf: TensorHandle,
        growth_factor: c_double,
        backoff_factor: c_double,
        growth_interval: c_int,
    ) -> c_int;
}
