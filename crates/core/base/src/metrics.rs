//! The metrics that come with Fulmen, and what counts them.

mod accuracy;
mod calibration_error;
mod class_score;
mod classes;
mod confusion_matrix;
mod detection;
mod errors;
mod mase;
mod mean;
mod meter;
mod overlap;
mod perplexity;
mod precision_recall;
mod r2_score;
mod ranking;
mod state;
mod text;

#[cfg(test)]
mod tests;

pub use accuracy::Accuracy;
pub use errors::{ElementError, MeanError};
pub use mean::Mean;
pub use meter::Meter;
pub use state::{Join, State};
