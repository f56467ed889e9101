//! The stores against real servers. What cannot be started here says `skipped: why`.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

mod mongo;
mod mongo_durability;
mod mongo_injection;
mod proxy;
mod recorder_remote;
mod remote;
mod remote_artifacts;
mod services;
