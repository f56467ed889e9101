//! Networks for text.

pub mod language_modeling;
