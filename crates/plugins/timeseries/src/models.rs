//! Networks for series.

pub mod forecasting;
