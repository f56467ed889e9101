//! Changes of series before a network sees them.

mod standardize;

pub use standardize::Standardize;
