//! Configuration in Hydra's manner: groups, defaults, overrides, interpolation, sweeps; every value knows where it came from.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests may panic"))]

pub mod batch;
mod compose;
mod config;
mod defaults;
mod error;
mod glob;
mod grammar;
mod hydra;
pub mod info;
pub mod interpolation;
mod merge;
mod multirun;
mod origin;
pub mod overrides;
mod repository;
mod source;
pub mod value;
pub mod yaml;

pub use compose::{Composer, RunMode};
pub use config::{Config, missing_keys, to_json};
pub use defaults::{DefaultsTree, ResultDefault};
pub use error::{ConfigError, Report, Result};
pub use hydra::HYDRA_VERSION;
pub use merge::{Update, delete, merge, update};
pub use multirun::{Multirun, sweep};
pub use origin::Origin;
pub use source::{ConfigSource, SearchPath, SearchPathEntry};
pub use value::{Key, Map, Node, Value};
