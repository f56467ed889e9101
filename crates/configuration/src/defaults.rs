//! The defaults list: which configs are composed, in which order, and under which package.

mod choices;
mod expand;
mod item;
mod list;

pub(crate) use choices::Choices;
pub(crate) use expand::expand;
pub(crate) use item::{GroupValue, Item, ItemKind, Naming, parse_defaults};
pub use list::{DefaultsTree, ResultDefault};
