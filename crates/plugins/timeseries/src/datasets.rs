//! Sets of series: batches of `series: f32[B, T, C]` and `target: f32[B, O]`.

mod csv;
mod random;
mod rows;
mod table;

pub use csv::CsvConfig;
pub use random::RandomSeriesConfig;
