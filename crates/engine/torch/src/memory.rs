//! What libtorch's allocator of an accelerator holds.

use crate::sys;

/// Bytes and counts of one device's allocator since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryStats {
    /// Bytes of tensors.
    pub allocated: i64,
    /// Most bytes of tensors.
    pub allocated_peak: i64,
    /// Bytes taken from the device, those that are free for the next tensor included.
    pub reserved: i64,
    /// Most bytes taken from the device.
    pub reserved_peak: i64,
    /// Allocations that went well only after free memory was given back.
    pub alloc_retries: i64,
    /// Allocations that failed.
    pub ooms: i64,
}

/// The numbers of accelerator `index`; none where there is no such device.
pub fn stats(index: usize) -> Option<MemoryStats> {
    let mut numbers = [0; 6];
    let device = i32::try_from(index).ok()?;
    // SAFETY: the array has the six places that are written.
    if unsafe { sys::ft_memory_stats(device, numbers.as_mut_ptr()) } != 0 {
        return None;
    }
    let [allocated, allocated_peak, reserved, reserved_peak, alloc_retries, ooms] = numbers;
    Some(MemoryStats { allocated, allocated_peak, reserved, reserved_peak, alloc_retries, ooms })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_device_that_is_not_there_has_no_numbers() {
        assert_eq!(super::stats(63), None);
    }
}
