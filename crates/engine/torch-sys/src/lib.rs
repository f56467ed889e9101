//! Raw declarations of the C++ shim over libtorch. Use `fulmen-torch`, which is safe.

#![expect(unsafe_code, reason = "this crate is the boundary to C++")]

mod flops;
mod memory;

use std::ffi::{c_char, c_double, c_int, c_void};

pub use flops::{ft_flops_begin, ft_flops_end, ft_flops_total, ft_flops_use, ft_flops_uses};
pub use memory::ft_memory_stats;

/// An `at::Tensor*`, as `tch` hands it out.
pub type TensorHandle = *mut c_void;

/// A guard of libtorch's for this thread.
pub type GuardHandle = *mut c_void;

// SAFETY: the signatures are those of cpp/shim.h. Each returns 0, or 1 with the reason in `ft_last_error`.
unsafe extern "C" {
    /// The reason of this thread's last failure; valid until its next call.
    pub fn ft_last_error() -> *const c_char;
    /// One step of AdamW (`decoupled` ≠ 0) or Adam on all parameters that have a gradient.
    pub fn ft_fused_adam(
        params: *const TensorHandle,
        exp_avgs: *const TensorHandle,
        exp_avg_sqs: *const TensorHandle,
        steps: *const TensorHandle,
        count: c_int,
        lr: c_double,
        beta1: c_double,
        beta2: c_double,
        weight_decay: c_double,
        eps: c_double,
        decoupled: c_int,
    ) -> c_int;
    /// One step of SGD on all parameters that have a gradient; `momentum_buffers` may be null.
    pub fn ft_fused_sgd(
        params: *const TensorHandle,
        momentum_buffers: *const TensorHandle,
        count: c_int,
        lr: c_double,
        momentum: c_double,
        dampening: c_double,
        weight_decay: c_double,
        nesterov: c_int,
        first_step: c_int,
    ) -> c_int;
    /// Frees all gradients.
    pub fn ft_clear_gradients(params: *const TensorHandle, count: c_int) -> c_int;
    /// Clips by the joint 2-norm; `norm` receives a new tensor that the caller owns.
    pub fn ft_clip_gradient_norm(
        params: *const TensorHandle,
        count: c_int,
        max_norm: c_double,
        norm: *mut TensorHandle,
    ) -> c_int;
    /// Clips each value.
    pub fn ft_clip_gradient_value(params: *const TensorHandle, count: c_int, max_value: c_double) -> c_int;
    /// Lays the storage out as NHWC.
    pub fn ft_channels_last(tensor: TensorHandle) -> c_int;
    /// Whether the storage lies as NHWC.
    pub fn ft_is_channels_last(tensor: TensorHandle, answer: *mut c_int) -> c_int;
    /// Autocast for this thread, on CUDA or the CPU.
    pub fn ft_autocast(enabled: c_int, cuda: c_int, dtype: c_int) -> c_int;
    /// Turns inference mode on for this thread, until the guard is freed on it.
    pub fn ft_inference_mode(guard: *mut GuardHandle) -> c_int;
    /// Frees a guard on the thread that it was made on.
    pub fn ft_free_inference_mode(guard: GuardHandle);
    /// Puts a copy of `gradient` in place as the parameter's gradient.
    pub fn ft_set_gradient(param: TensorHandle, gradient: TensorHandle) -> c_int;
    /// Deterministic algorithms, or an error (or warning) where there is none.
    pub fn ft_deterministic(enabled: c_int, warn_only: c_int) -> c_int;
    /// libtorch's version.
    pub fn ft_version() -> *const c_char;
    /// `AVX512`, `AVX2`, `DEFAULT`, …
    pub fn ft_cpu_capability() -> *const c_char;
    /// Opens libtorch_cuda.so.
    pub fn ft_load_cuda() -> c_int;
}
