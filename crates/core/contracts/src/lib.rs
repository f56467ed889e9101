//! What crosses a boundary: between data module and model, worker and manager, worker's catalog and the command line.
//!
//! Types, and the validators that hold two sides to them. This crate links no libtorch, so that every face of Fulmen
//! can read what a worker says without loading it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

pub mod catalog;
pub mod event;
pub mod exit;
pub mod run;
pub mod schema;
pub mod secret;
pub mod settings;
pub mod validate;

pub use catalog::{Catalog, ComponentInfo};
pub use event::{Axis, Event, Stage};
pub use exit::ExitCode;
pub use run::{CHECKPOINTS, Command, METRICS_RECORD, RunKeys, RunSpec};
pub use schema::{DType, Dim, Schema, SchemaError, TensorSpec};
pub use secret::Secret;
pub use validate::{Problem, validate};

/// The version of everything in this crate. A worker of another version is refused before it starts anything.
pub const CONTRACT_VERSION: u32 = 2;
