//! What is done to series before a network sees them.

mod standardize;

pub use standardize::Standardize;
