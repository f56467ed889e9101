//! The callbacks that come with Fulmen.

mod backbone_finetuning;
mod batch_size_finder;
mod device_stats_monitor;
mod early_stopping;
mod gradient_accumulation_scheduler;
mod learning_rate_finder;
mod learning_rate_monitor;
mod model_checkpoint;
mod model_summary;
mod monitor;
mod on_exception_checkpoint;
mod prediction_writer;
mod progress_bar;
mod spike_detection;
mod stochastic_weight_averaging;
mod throughput_monitor;
mod timer;
mod weight_averaging;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use backbone_finetuning::{BackboneFinetuning, BackboneFinetuningConfig};
pub use batch_size_finder::BatchSizeFinder;
pub use device_stats_monitor::{DeviceStatsMonitor, DeviceStatsMonitorConfig};
pub use early_stopping::{EarlyStopping, EarlyStoppingConfig};
pub use gradient_accumulation_scheduler::{
    GradientAccumulationScheduler, GradientAccumulationSchedulerConfig,
};
pub use learning_rate_finder::LearningRateFinder;
pub use learning_rate_monitor::{LearningRateMonitor, LearningRateMonitorConfig};
pub use model_checkpoint::{ModelCheckpoint, ModelCheckpointConfig, SaveLast};
pub use model_summary::{ModelSummary, ModelSummaryConfig};
pub use monitor::MonitorMode;
pub use on_exception_checkpoint::{OnExceptionCheckpoint, OnExceptionCheckpointConfig};
pub use prediction_writer::{PredictionFormat, PredictionWriter, PredictionWriterConfig, WriteInterval};
pub use progress_bar::{ProgressBar, ProgressBarConfig};
pub use spike_detection::{SpikeDetection, SpikeDetectionConfig};
pub use stochastic_weight_averaging::{
    Annealing, StochasticWeightAveraging, StochasticWeightAveragingConfig, SwaStart,
};
pub use throughput_monitor::{ThroughputMonitor, ThroughputMonitorConfig};
pub use timer::{Timer, TimerConfig};
pub use weight_averaging::{EmaWeightAveragingConfig, WeightAveraging, WeightAveragingConfig};

use crate::trainer::{TrainerConfig, ValCheckInterval};
use crate::{Error, Result};

/// Reads what a checkpoint kept of the callback `name`.
fn load_kept<T: DeserializeOwned>(name: &str, state: &Value) -> Result<T> {
    serde_json::from_value(state.clone()).map_err(|error| {
        Error::config(
            format!("callbacks.{name}"),
            format!("its saved state cannot be read: {error}; it was saved by another version or with other settings"),
        )
    })
}

/// Whether each epoch ends in the only validation of it.
fn validates_once_an_epoch(config: &TrainerConfig) -> bool {
    config.check_val_every_n_epoch == Some(1) && config.val_check_interval == ValCheckInterval::Share(1.0)
}

pub(crate) const fn yes() -> bool {
    true
}
