//! The optimizers that come with Fulmen, on libtorch's fused kernels where there is one, else on its operators for many tensors.
//!
//! An algorithm is a settings struct and a [`grouped::Rule`]; parameter groups, saved state and steps over groups are the same
//! for all.

mod adafactor;
mod adagrad;
mod adam;
mod grouped;
mod groups;
mod lamb;
mod layers;
mod lion;
mod muon;
mod nadam;
mod pattern;
mod radam;
mod rmsprop;
mod settings;
mod sgd;

pub use adafactor::AdafactorConfig;
pub use adagrad::AdagradConfig;
pub use adam::{AdamConfig, AdamWConfig};
pub use groups::{GroupConfig, ParamGroupsConfig};
pub use lamb::LambConfig;
pub use lion::LionConfig;
pub use muon::{AdjustLr, AuxiliaryAdamWConfig, MuonConfig};
pub use nadam::NAdamConfig;
pub use radam::RAdamConfig;
pub use rmsprop::RmsPropConfig;
pub use sgd::SgdConfig;
