//! What libtorch's CUDA allocator holds.

use crate::{TorchError, check, sys};

/// Bytes that libtorch's CUDA allocator holds on a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CudaMemory {
    /// In tensors.
    pub allocated: u64,
    /// Taken from the device.
    pub reserved: u64,
    /// The most that was ever in tensors.
    pub peak_allocated: u64,
    /// The most that was ever taken from the device.
    pub peak_reserved: u64,
}

/// What is held on a device by its index.
///
/// # Errors
/// When CUDA is not loaded, or there is no such device.
pub fn cuda(device: usize) -> Result<CudaMemory, TorchError> {
    let device =
        i32::try_from(device).map_err(|_| TorchError(format!("there is no CUDA device {device}")))?;
    let mut found = [0_i64; 4];
    let [allocated, reserved, peak_allocated, peak_reserved] = &mut found;
    // SAFETY: four places that outlive the call.
    check(unsafe { sys::ft_cuda_memory(device, allocated, reserved, peak_allocated, peak_reserved) })?;
    let [allocated, reserved, peak_allocated, peak_reserved] =
        found.map(|bytes| u64::try_from(bytes).unwrap_or(0));
    Ok(CudaMemory { allocated, reserved, peak_allocated, peak_reserved })
}

#[cfg(test)]
mod tests {
    #[test]
    fn without_cuda_the_question_is_an_error() {
        if !tch::Cuda::is_available() {
            assert!(super::cuda(0).is_err());
        }
    }
}
