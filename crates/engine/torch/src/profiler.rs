//! libtorch's own profiler, Kineto: what each operator took, and a trace that Perfetto and Chrome open.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr;
use std::thread::{self, ThreadId};

use crate::{TorchError, check, sys};

/// One operator, or one kernel on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorEvent {
    /// `aten::addmm`, or the kernel's name.
    pub name: String,
    /// Shapes of its inputs, as in `[[32, 64], [64]]`; empty where they are not recorded.
    pub shapes: String,
    /// When it began, in nanoseconds since 1970.
    pub start_ns: i64,
    /// When it ended, in nanoseconds since 1970.
    pub end_ns: i64,
    /// The thread that ran it.
    pub thread: u64,
    /// Whether it ran on a device rather than on the CPU.
    pub on_device: bool,
}

/// While it lives, operators of this thread, and of those that work for it, are recorded.
#[derive(Debug)]
pub struct Recording {
    /// The profiler is to be ended on the thread that it was started on.
    thread: ThreadId,
    ended: bool,
}

impl Recording {
    /// Starts the profiler; `cuda` records kernels too, `shapes` those of the inputs.
    ///
    /// # Errors
    /// When one is running already, or this libtorch has none.
    pub fn start(cuda: bool, shapes: bool) -> Result<Self, TorchError> {
        // SAFETY: takes two numbers.
        check(unsafe { sys::ft_profiler_start(cuda.into(), shapes.into()) })?;
        Ok(Self { thread: thread::current().id(), ended: false })
    }

    /// Ends it, on the thread that started it; the trace is written to `trace`, as JSON in Chrome's format.
    ///
    /// # Errors
    /// On another thread, or when libtorch refuses.
    pub fn finish(mut self, trace: Option<&Path>) -> Result<Vec<OperatorEvent>, TorchError> {
        if self.thread != thread::current().id() {
            return Err(TorchError("the profiler is to be ended on the thread that started it".to_owned()));
        }
        self.ended = true;
        end(trace)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.ended && self.thread == thread::current().id() {
            // The run failed meanwhile; what was recorded is of no use.
            let _ = end(None);
        }
    }
}

fn end(trace: Option<&Path>) -> Result<Vec<OperatorEvent>, TorchError> {
    let trace = trace
        .map(|path| CString::new(path.as_os_str().as_encoded_bytes()))
        .transpose()
        .map_err(|_| TorchError("the trace's path has a NUL byte".to_owned()))?;
    let path = trace.as_ref().map_or(ptr::null(), |path| path.as_ptr());
    let mut events: Vec<OperatorEvent> = Vec::new();
    // SAFETY: `path` is null or a NUL-terminated string, `events` outlives the call, `take` takes it as what it is.
    check(unsafe { sys::ft_profiler_stop(path, take, ptr::from_mut(&mut events).cast()) })?;
    Ok(events)
}

unsafe extern "C" fn take(to: *mut c_void, one: *const sys::RawOperator) {
    // SAFETY: `to` is the vector of `end`, used by nobody else meanwhile; `one` is valid during this call.
    let (events, one) = unsafe { (&mut *to.cast::<Vec<OperatorEvent>>(), &*one) };
    events.push(OperatorEvent {
        name: text(one.name),
        shapes: text(one.shapes),
        start_ns: one.start_ns,
        end_ns: one.end_ns,
        thread: one.thread,
        on_device: one.on_device != 0,
    });
}

/// A string of the shim's that is valid during the call at hand.
pub(crate) fn text(raw: *const c_char) -> String {
    // SAFETY: the shim hands out NUL-terminated strings that live as long as the call that shows them.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn operators_are_recorded_with_their_shapes_and_nothing_after_the_end() {
        let a = Tensor::randn([8, 16], (Kind::Float, Device::Cpu));
        let recording = Recording::start(false, true).unwrap();
        let _ = a.matmul(&a.tr());
        let events = recording.finish(None).unwrap();
        let product = events.iter().find(|event| event.name == "aten::mm").unwrap();
        assert!(product.end_ns >= product.start_ns && !product.on_device);
        assert!(product.shapes.contains("8, 16"), "{}", product.shapes);
        let _ = a.matmul(&a.tr());
        let second = Recording::start(false, false).unwrap().finish(None).unwrap();
        assert!(second.iter().all(|event| event.name != "aten::mm"));
    }
}
