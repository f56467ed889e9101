//! What surrounds every request: who may ask, how much may be sent, how errors look, where blocking work runs.

mod body;
mod error;
mod gate;
mod pool;
mod reply;
mod words;

pub(crate) use body::{RequestBody, drain, next_chunk, read_whole};
pub(crate) use error::{ApiError, Code};
pub(crate) use gate::Gate;
pub use gate::HostRules;
pub(crate) use pool::{Pool, THREADS, outcome};
pub(crate) use reply::{Reply, json, text};
