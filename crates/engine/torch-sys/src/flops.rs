//! Declarations of cpp/flops.h.

use std::ffi::{c_double, c_int};

use crate::TensorHandle;

// SAFETY: the signatures are those of cpp/flops.h.
unsafe extern "C" {
    /// Begins to count what this thread dispatches; 1 where a count is under way.
    pub fn ft_flops_begin(params: *const TensorHandle, count: c_int) -> c_int;
    /// Ends the count; what it found stays until the next.
    pub fn ft_flops_end();
    /// Floating-point operations in all.
    pub fn ft_flops_total() -> c_double;
    /// Uses of the parameters.
    pub fn ft_flops_uses() -> c_int;
    /// One of them; `input` and `output` have room for eight sizes each.
    pub fn ft_flops_use(
        index: c_int,
        param: *mut c_int,
        flops: *mut c_double,
        input: *mut i64,
        inputs: *mut c_int,
        output: *mut i64,
        outputs: *mut c_int,
    );
}
