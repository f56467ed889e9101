//! Networks for time series.

pub mod forecasting;
