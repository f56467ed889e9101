//! Starts runs as child processes, follows their events, records them in the tracking store.
//!
//! A worker that crashes ends its own run: the manager reports it with the tail of its log and goes on.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

mod encryption;
mod error;
mod find;
mod flatten;
mod folder;
mod follow;
mod launch;
mod once;
mod record;
mod resume;
mod system_metrics;
mod upload;
mod worker;

pub use encryption::{RunEncryption, encrypt_left_behind, encrypted_of, is_left_in_clear};
pub use error::ManagerError;
pub use find::{experiments, find_run, search_runs};
pub use flatten::params as params_of;
pub use folder::RunFolder;
pub use follow::{Ended, Interrupts};
pub use launch::{Launch, Manager, Report};
pub use upload::{UploadReport, Uploads, artifacts_of};
pub use worker::Worker;
