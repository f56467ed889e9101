//! MLflow's REST API over any tracking store: what `fulmen server` runs.
//!
//! The API is that of MLflow 3 (<https://mlflow.org/docs/latest/rest-api.html>) as far as ordinary training work goes:
//! experiments, runs, metrics with history, params, tags, datasets, logged models, the model registry, and artifacts by
//! proxy. MLflow's Python client works against it unchanged.
//!
//! A request passes, from outside to inside: the connection (`server`), the gate and the limits (`frame`), the routes
//! (`app`, `api`), the reading of its message (`wire`), the store (`fulmen-tracking`) or the artifacts (`artifacts`).
//!
//! ```
//! use fulmen_server::{HostRules, Server, Settings};
//!
//! # let folder = tempfile::tempdir()?;
//! # let database = format!("sqlite:///{}/fulmen.db", folder.path().display());
//! # let artifacts = folder.path().display().to_string();
//! let store = fulmen_tracking::open_with_artifact_root(&database, "mlflow-artifacts:/")?;
//! let settings =
//!     Settings { host: "127.0.0.1".into(), port: 0, artifacts, keyring: None, serve_artifacts: true, hosts: HostRules::default() };
//! let server = Server::bind(&settings, store)?;
//! assert_ne!(server.address().port(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes))]

mod api;
mod app;
mod artifacts;
mod frame;
mod locations;
mod server;
mod wire;

pub use frame::HostRules;
pub use server::{Server, ServerError, Settings};
