//! Time-series plugin: forecasting models, datasets and preprocessors.
//!
//! Axes of tensors: `B` batch, `T` time, `C` series beside each other, `O` numbers to predict.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

pub mod datasets;
pub mod models;
pub mod preprocessors;
