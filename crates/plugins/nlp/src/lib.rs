//! Language plugin: sequence models, datasets and tokenizers.
//!
//! Axes of tensors: `B` batch, `T` time (tokens), `E` width of the model, `V` vocabulary.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

pub mod datasets;
pub mod models;
