//! Time-series plugin: forecasting models, datasets and preprocessors.
//!
//! Components are declared beside their code with `component!`; a program that names this crate in
//! `use fulmen_timeseries as _;` has them all. Axes of tensors: `B` batch, `T` steps, `C` channels (values of a step), `O`
//! outputs.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

pub mod datasets;
pub mod models;
pub mod preprocessors;
