//! The tasks that come with Fulmen, and the model that joins a network with one.

mod classification;
mod language_modeling;
pub mod metrics;
mod model;
mod regression;

pub use classification::{Classification, ClassificationConfig};
pub use language_modeling::{LanguageModeling, LanguageModelingConfig};
pub use model::TaskModel;
pub use regression::{Regression, RegressionConfig};
