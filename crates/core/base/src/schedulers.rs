//! The schedules that come with Fulmen.

mod cosine;
mod cosine_warm_restarts;
mod curve;
mod decay;
mod linear_warmup;
mod one_cycle;
mod ramps;
mod reduce_on_plateau;

pub use cosine::CosineConfig;
pub use cosine_warm_restarts::CosineWarmRestartsConfig;
pub use decay::{ExponentialConfig, InverseSqrtConfig, MultiStepConfig, StepConfig};
pub use linear_warmup::LinearWarmupConfig;
pub use one_cycle::{AnnealStrategy, OneCycleConfig};
pub use ramps::{ConstantConfig, LinearConfig, PolynomialConfig};
pub use reduce_on_plateau::{Mode, ReduceOnPlateauConfig, ThresholdMode};
