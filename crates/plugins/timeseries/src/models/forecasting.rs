//! What comes next: `series: f32[B, T, C]` in, `prediction: f32[B, O]` out.

mod lstm;

pub use lstm::{Lstm, LstmConfig};
