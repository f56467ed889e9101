//! The profilers: `simple` times hooks and phases, `pytorch` operators too.

mod pytorch;
mod simple;

pub use pytorch::PytorchProfiler;
pub use simple::SimpleProfiler;

use crate::trainer::{Profiler, ProfilerName};

/// The profiler of this name; `cuda` says whether kernels of a GPU are to be recorded.
pub fn build(name: ProfilerName, cuda: bool) -> Box<dyn Profiler> {
    match name {
        ProfilerName::Simple => Box::new(SimpleProfiler::default()),
        ProfilerName::Pytorch => Box::new(PytorchProfiler::new(cuda)),
    }
}
