//! Checks of the source tree itself: the arrows between crates, the size of files, the map of the house.
//!
//! Nothing here is used by Fulmen; `tests/tree.rs` runs each check on this repository. A check takes what it looks at and
//! returns what it found wrong, one sentence each; an empty list is a tidy tree.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes))]

pub mod architecture;
pub mod arrows;
pub mod graph;
pub mod sources;
pub mod torch_free;
