//! Declarations of cpp/diagnostics.h: profiler, anomaly mode, a watch over operators, CUDA's memory.

use std::ffi::{c_char, c_int, c_void};

use crate::TensorHandle;

/// `ft_operator`: strings are valid during the call that shows it.
#[derive(Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the names are those of the header, which says what they mean")]
pub struct RawOperator {
    pub name: *const c_char,
    pub shapes: *const c_char,
    pub start_ns: i64,
    pub end_ns: i64,
    pub thread: u64,
    pub on_device: c_int,
}

/// `ft_finding`: strings are valid during the call that shows it.
#[derive(Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the names are those of the header, which says what they mean")]
pub struct RawFinding {
    pub kind: c_int,
    pub op: *const c_char,
    pub tensor: c_int,
    pub before: c_int,
    pub input: c_int,
}

/// Takes one operator; the first argument is what the caller handed over for it.
pub type TakeOperator = unsafe extern "C" fn(*mut c_void, *const RawOperator);
/// Takes one finding.
pub type TakeFinding = unsafe extern "C" fn(*mut c_void, *const RawFinding);
/// Takes a backward function's name and what it belongs to.
pub type TakeBackward = unsafe extern "C" fn(*mut c_void, *const c_char, *const RawFinding);

// SAFETY: the signatures are those of cpp/diagnostics.h. Each returns 0, or 1 with the reason in `ft_last_error`.
unsafe extern "C" {
    /// Starts the profiler on this thread.
    pub fn ft_profiler_start(cuda: c_int, shapes: c_int) -> c_int;
    /// Ends it; `trace` may be null.
    pub fn ft_profiler_stop(trace: *const c_char, take: TakeOperator, to: *mut c_void) -> c_int;
    /// autograd's anomaly mode.
    pub fn ft_anomaly_mode(enabled: c_int) -> c_int;
    /// Begins to watch.
    pub fn ft_watch_start(tensors: *const TensorHandle, count: c_int) -> c_int;
    /// Forgets and looks, or looks away.
    pub fn ft_watch_look(look: c_int) -> c_int;
    /// What was found.
    pub fn ft_watch_findings(take: TakeFinding, to: *mut c_void) -> c_int;
    /// The backward function that began last.
    pub fn ft_watch_backward(take: TakeBackward, to: *mut c_void) -> c_int;
    /// Ends the watch.
    pub fn ft_watch_stop() -> c_int;
}
