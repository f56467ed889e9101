//! One generic registry of components: names, typed settings, documentation and factories.
//!
//! A crate declares a component in place with [`component!`]; it is found at link time, without a central list. A crate
//! that nobody names in `use … as _;` is not linked, and its components are then not there. Components can also be
//! added while the program runs, with [`Registry::register`].
//!
//! A [`Kind`] says what its components are built with and what they become; any crate may define one.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

mod declare;
mod error;
mod kind;
mod registry;
mod settings;

pub use declare::{Declaration, Factory};
pub use error::{BuildError, RegistryError};
pub use inventory;
pub use kind::Kind;
pub use registry::{Registry, registry};
pub use settings::Component;
