//! The metrics that come with Fulmen.

mod accuracy;
mod errors;
mod mean;

pub use accuracy::Accuracy;
pub use errors::{MeanAbsoluteError, MeanSquaredError};
pub use mean::Mean;
