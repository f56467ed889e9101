//! Callbacks with the real trainer: what they leave in the model, and that a run that goes on ends with the same bits.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

mod averaging;
#[path = "../common/mod.rs"]
mod common;
mod failing;
mod finders;
mod net;
mod schedules;
