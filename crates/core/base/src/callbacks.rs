//! The callbacks that come with Fulmen.

mod early_stopping;
mod learning_rate_monitor;
mod model_checkpoint;
mod monitor;
mod progress_bar;

pub use early_stopping::{EarlyStopping, EarlyStoppingConfig};
pub use learning_rate_monitor::{LearningRateMonitor, LearningRateMonitorConfig};
pub use model_checkpoint::{ModelCheckpoint, ModelCheckpointConfig};
pub use monitor::MonitorMode;
pub use progress_bar::{ProgressBar, ProgressBarConfig};
