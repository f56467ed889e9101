//! How a training step is carried out on the devices of a run: where tensors live, how gradients are made.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

mod accelerator;
mod devices;
mod precision;
mod scaler;
mod single_device;

pub use accelerator::{Accelerator, AcceleratorError};
pub use devices::{Auto, Devices, StrategyName};
pub use precision::Precision;
pub use scaler::GradientScaler;
pub use single_device::SingleDevice;

use std::fmt::Debug;

use fulmen_torch::TorchError;
use fulmen_torch::tch::{Device, Tensor};

/// How a step is spread over devices and processes. The trainer's loop is the same for all.
pub trait Strategy: Debug + Send {
    /// Where this process keeps parameters and batches.
    fn device(&self) -> Device;

    /// Which of the run's processes this is, from 0.
    fn rank(&self) -> usize {
        0
    }

    /// How many processes share the run.
    fn world_size(&self) -> usize {
        1
    }

    /// Propagates `loss` (`[] f32`) backwards; when it returns, the parameters' gradients are those of the whole step.
    ///
    /// # Errors
    /// When libtorch refuses, or another process is gone.
    fn backward(&mut self, loss: &Tensor) -> Result<(), TorchError>;
}
