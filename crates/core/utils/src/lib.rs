//! What the standard library lacks: files written whole, near names, run ids, random numbers by address.
//!
//! Nothing enters here without two users, and no word of a domain does. This crate links no libtorch.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

pub mod address;
pub mod atomic;
pub mod cache;
pub mod ids;
pub mod nearest;
pub mod priority;
pub mod testing;
pub mod text;

pub use address::Address;
pub use nearest::nearest;
