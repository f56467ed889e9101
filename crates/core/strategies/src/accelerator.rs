//! Which device a run computes on.

use fulmen_torch::environment;
use fulmen_torch::tch::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to compute on, by Lightning's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// A GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU; libtorch's CUDA half is never loaded.
    Cpu,
    /// The first CUDA device.
    Gpu,
}

/// A device that is not there.
#[derive(Debug, thiserror::Error)]
#[error("no GPU can be used here: {0}; use trainer.accelerator=cpu or auto, and see `fulmen doctor`")]
pub struct AcceleratorError(String);

impl Accelerator {
    /// The device.
    ///
    /// # Errors
    /// When a GPU is asked for and there is none.
    pub fn device(self) -> Result<Device, AcceleratorError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto if !has_nvidia_driver() => Ok(Device::Cpu),
            Self::Auto => Ok(if environment::load_cuda().is_ok_and(|devices| devices > 0) {
                Device::Cuda(0)
            } else {
                Device::Cpu
            }),
            Self::Gpu => match environment::load_cuda() {
                Ok(0) => Err(AcceleratorError("libtorch sees no CUDA device".to_owned())),
                Ok(_) => Ok(Device::Cuda(0)),
                Err(error) => Err(AcceleratorError(error.to_string())),
            },
        }
    }
}

/// A cheap look, so that a machine without a GPU never pays for loading libtorch's CUDA half.
fn has_nvidia_driver() -> bool {
    ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"]
        .iter()
        .any(|path| std::path::Path::new(path).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(Accelerator::Cpu.device().unwrap(), Device::Cpu);
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused_with_the_way_out() {
        if has_nvidia_driver() {
            return;
        }
        let message = Accelerator::Gpu.device().unwrap_err().to_string();
        assert!(message.contains("trainer.accelerator=cpu"), "{message}");
    }
}
