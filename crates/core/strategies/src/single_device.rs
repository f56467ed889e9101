//! One process, one device.

use fulmen_torch::TorchError;
use fulmen_torch::tch::{Device, Tensor};

use crate::Strategy;

/// One process, one device: nothing to share.
#[derive(Debug, Clone, Copy)]
pub struct SingleDevice(pub Device);

impl Strategy for SingleDevice {
    fn device(&self) -> Device {
        self.0
    }

    fn backward(&mut self, loss: &Tensor) -> Result<(), TorchError> {
        loss.f_backward()
            .map_err(|error| TorchError(error.to_string().lines().next().unwrap_or_default().to_owned()))
    }
}
