//! The kernels that are ours.

use std::ffi::c_int;

// SAFETY: the signatures are those of cpp/kernels.h. Each returns 0, or 1 with the reason in `ft_last_error`.
unsafe extern "C" {
    /// Matrix products of f32 on the CPU through oneDNN from now on; `installed` says whether that wins here.
    pub fn ft_onednn_matmul(installed: *mut c_int) -> c_int;
}
