//! Language plugin: sequence models, datasets and tokenizers.
//!
//! Components are declared beside their code with `component!`; a program that names this crate in `use fulmen_nlp as _;`
//! has them all. Axes of tensors: `B` batch, `T` tokens, `D` features, `V` vocabulary.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

pub mod datasets;
pub mod models;
pub mod tokenizers;
