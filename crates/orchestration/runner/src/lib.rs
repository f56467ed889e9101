//! Turns a composed configuration into one run or a sweep of runs.
//!
//! Here a configuration meets the catalog of components: [`Problems`] are found before a worker is started.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

mod compose;
mod encryption;
mod error;
mod problem;
mod train;

pub use compose::{Composed, Source, saved};
pub use encryption::{Encryption, run_encryption, section};
pub use error::RunnerError;
pub use problem::{ConfigProblem, Problems, check};
pub use train::{Job, launch, resume};
