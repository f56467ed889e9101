//! Sets of series: batches of `series: f32[B, T, C]` and `target: f32[B, O]`, what comes next.

mod csv_series;
mod random;
mod windows;

pub use csv_series::CsvSeriesConfig;
pub use random::RandomSeriesConfig;
