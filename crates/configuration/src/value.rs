//! The tree of values: what a configuration is made of, each node with its origin.

mod key;
mod node;
pub mod number;
mod path;
mod python;

pub use key::Key;
pub use node::{Flags, Map, Node, Value};
pub use path::{join_key, split_key};
pub(crate) use python::str_node;

/// The text of a mandatory value that nobody has set yet.
pub const MISSING: &str = "???";
