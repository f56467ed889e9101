//! Configuration in Hydra's manner: groups, defaults, overrides, interpolation, sweeps; every value knows where it came from.
//!
//! The way of a configuration through the crate:
//!
//! ```text
//! search path ──► repository (yaml) ──► defaults (a tree, then a list) ──► merge ──► overrides ──► Config
//!                                                                                     sweep ──► Multirun
//! Config ──► interpolation ──► Config::resolve ──► to_json, to_yaml
//! ```
//!
//! ```
//! use std::{collections::BTreeMap, sync::Arc};
//! use fulmen_configuration::{Composer, ConfigSource, SearchPath, Value};
//!
//! let files = [
//!     ("config.yaml", "defaults: [model: resnet, _self_]\nname: ${model.name}-${seed}\nseed: 1\n"),
//!     ("model/resnet.yaml", "name: resnet\ndepth: 18\n"),
//! ];
//! let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
//! let path = SearchPath::new().with("main", ConfigSource::Files(Arc::new(BTreeMap::from(files))));
//! let config = Composer::new(path).compose("config", &["model.depth=50"])?.resolve()?;
//! assert_eq!(config.select("name").map(|node| &node.value), Some(&Value::from("resnet-1")));
//! assert_eq!(config.select("model.depth").unwrap().origin().to_string(), "override 1 (model.depth=50), column 13");
//! # Ok::<(), fulmen_configuration::ConfigError>(())
//! ```
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
