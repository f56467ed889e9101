//! Base classes: model, data module, trainer, callback, metric, and the components of each that come with Fulmen.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

mod batch;
pub mod callback;
pub mod callbacks;
pub mod checkpoint;
pub mod config;
mod data_module;
mod error;
pub mod events;
mod hooks;
mod kernel;
pub mod loader;
pub mod logger;
pub mod loggers;
mod metric;
pub mod metrics;
pub mod model;
pub mod optimizer;
pub mod optimizers;
mod prepared;
pub mod profilers;
pub mod record;
mod report;
pub mod sampler;
pub mod samplers;
pub mod scheduler;
pub mod schedulers;
mod step;
mod task;
pub mod tasks;
pub mod trainer;
pub mod weights;

pub use batch::{Batch, Tensors, dtype};
pub use callback::{Callback, CallbackKind, HookContext};
pub use data_module::{DataModule, DataSpec, Dataset, DatasetContext, DatasetKind, Progress, Split};
pub use error::{Error, Result};
pub use hooks::Hook;
pub use logger::{Logger, LoggerKind};
pub use metric::{Computed, Detections, GroundTruth, Metric, MetricKind, Observation, ObservationKind};
pub use model::{Mode, Model, ModelContext, ModelKind, Network};
pub use optimizer::{Optimizer, OptimizerKind, ParamGroup};
pub use prepared::PreparedCache;
pub use sampler::{Sampler, SamplerKind};
pub use scheduler::{Scheduler, SchedulerContext, SchedulerKind};
pub use step::{StepContext, StepOutput};
pub use task::{Task, TaskContext, TaskKind};
