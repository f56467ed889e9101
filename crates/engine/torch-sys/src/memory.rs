//! Declarations of cpp/memory.h.

use std::ffi::c_int;

// SAFETY: the signature is that of cpp/memory.h.
unsafe extern "C" {
    /// Six numbers of the allocator of a device; 1 where there is none.
    pub fn ft_memory_stats(device: c_int, stats: *mut i64) -> c_int;
}
