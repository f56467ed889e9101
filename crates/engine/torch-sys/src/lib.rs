//! Raw declarations of the C++ shim over libtorch. Use `fulmen-torch`, which is safe.

#![expect(unsafe_code, reason = "this crate is the boundary to C++")]

mod flops;
mod gradients;
mod kernels;
mod memory;
mod optimizers;

use std::ffi::{c_char, c_int, c_void};

pub use gradients::*;
pub use kernels::*;
pub use optimizers::*;

pub use flops::{ft_flops_begin, ft_flops_end, ft_flops_total, ft_flops_use, ft_flops_uses};
pub use memory::ft_memory_stats;

/// An `at::Tensor*`, as `tch` hands it out.
pub type TensorHandle = *mut c_void;

/// A guard of libtorch's for this thread.
pub type GuardHandle = *mut c_void;

mod diagnostics;

pub use diagnostics::*;

// SAFETY: the signatures are those of cpp/shim.h. Each returns 0, or 1 with the reason in `ft_last_error`.
unsafe extern "C" {
    /// The reason of this thread's last failure; valid until its next call.
    pub fn ft_last_error() -> *const c_char;
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
