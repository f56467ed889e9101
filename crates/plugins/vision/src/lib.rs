//! Vision plugin: image models, datasets and transforms.
//!
//! Components are declared beside their code with `component!`; a program that names this crate in `use fulmen_vision as _;`
//! has them all. Axes of tensors: `B` batch, `C` channels, `H` height, `W` width, `K` classes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

pub mod datasets;
pub mod models;
pub mod transforms;
