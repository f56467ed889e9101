//! The loggers that come with Fulmen.

mod csv;
mod hparams;
mod tensorboard;
mod tfevents;
mod version;

pub use csv::{CsvLogger, CsvLoggerConfig};
pub use tensorboard::{TensorBoardLogger, TensorBoardLoggerConfig};
