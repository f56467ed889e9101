//! Safe access to what `tch` leaves out of libtorch: fused optimizer kernels, gradient clipping without host
//! synchronisation, memory formats, autocast on the CPU, CUDA on demand, kernels of our own. Re-exports `tch`, so that one version serves all.

#![expect(unsafe_code, reason = "calls the C++ shim; each block says why it is sound")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

pub mod attention;
pub mod autocast;
pub mod buffers;
pub mod convolution;
pub mod environment;
pub mod feed_forward;
pub mod flops;
pub mod gradients;
pub mod inference;
pub mod layout;
pub mod lstm;
pub mod memory;
pub mod operators;
pub mod optimizers;
pub mod profiler;
pub mod watch;

use std::ffi::{CStr, c_int};

use fulmen_torch_sys as sys;
pub use tch;
use tch::Tensor;

/// What libtorch said when it could not do a thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TorchError(pub String);

/// Turns the shim's return code into a result.
fn check(code: c_int) -> Result<(), TorchError> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the shim returns a pointer to a NUL-terminated string that lives until this thread's next call.
    let message = unsafe { CStr::from_ptr(sys::ft_last_error()) };
    Err(TorchError(message.to_string_lossy().lines().next().unwrap_or_default().to_owned()))
}

/// The handles of tensors, in order. They are valid while `tensors` is borrowed.
fn handles(tensors: &[Tensor]) -> Vec<sys::TensorHandle> {
    tensors.iter().map(handle).collect()
}

/// The shim takes `at::Tensor*` without const; it changes what the tensor refers to, as tch's own in-place operators do.
fn handle(tensor: &Tensor) -> sys::TensorHandle {
    tensor.as_ptr().cast_mut().cast()
}
