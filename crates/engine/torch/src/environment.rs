//! What libtorch and the machine under it are.

use crate::{TorchError, check, sys};
use std::ffi::CStr;

/// libtorch's version: `2.11.0`.
pub fn version() -> String {
    // SAFETY: a constant NUL-terminated string.
    unsafe { CStr::from_ptr(sys::ft_version()) }.to_string_lossy().into_owned()
}

/// The instruction set that libtorch's kernels use here: `AVX512`, `AVX2`, `DEFAULT`.
pub fn cpu_capability() -> String {
    // SAFETY: a NUL-terminated string that is never freed.
    unsafe { CStr::from_ptr(sys::ft_cpu_capability()) }.to_string_lossy().into_owned()
}

/// Opens libtorch's CUDA half, which a run on the CPU never loads (it would take seconds and hundreds of MiB).
/// Returns the number of devices.
///
/// # Errors
/// When this libtorch has no CUDA half, or NVIDIA's libraries or driver are missing: the message names the file.
pub fn load_cuda() -> Result<usize, TorchError> {
    // SAFETY: takes nothing; a library that is open already is not opened again.
    check(unsafe { sys::ft_load_cuda() })?;
    let devices = tch::Cuda::device_count();
    usize::try_from(devices).map_err(|_| TorchError(format!("libtorch counts {devices} CUDA devices")))
}

/// Chooses kernels that give the same bits each time; where there is none, an error, or a warning with `warn_only`.
///
/// # Errors
/// When libtorch refuses.
pub fn deterministic(enabled: bool, warn_only: bool) -> Result<(), TorchError> {
    // SAFETY: takes two numbers.
    check(unsafe { sys::ft_deterministic(enabled.into(), warn_only.into()) })
}

#[cfg(test)]
mod tests {
    #[test]
    fn libtorch_is_the_version_that_tch_is_made_for() {
        assert!(super::version().starts_with("2.11."), "{}", super::version());
        assert!(!super::cpu_capability().is_empty());
    }
}
