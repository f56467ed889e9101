//! The stores against real servers. What cannot be started here says `skipped: why`.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

mod mongo;
mod services;
