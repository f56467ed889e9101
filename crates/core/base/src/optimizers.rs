//! The optimizers that come with Fulmen, on libtorch's fused kernels.

mod adam;
mod sgd;
mod state;

pub use adam::{Adam, AdamConfig, AdamWConfig};
pub use sgd::{Sgd, SgdConfig};
