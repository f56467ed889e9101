//! The number format of a run.

use fulmen_torch::TorchError;
use fulmen_torch::autocast::Autocast;
use fulmen_torch::tch::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number format, by Lightning's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Precision {
    /// Everything in f32.
    #[default]
    #[serde(rename = "32-true")]
    Full,
    /// Parameters in f32; matrix products and convolutions in bf16.
    #[serde(rename = "bf16-mixed")]
    Bf16Mixed,
}

impl Precision {
    /// Runs `forward` in this precision on `device`.
    ///
    /// # Errors
    /// When libtorch refuses the format here.
    pub fn run<T>(self, device: Device, forward: impl FnOnce() -> T) -> Result<T, TorchError> {
        let _guard = match self {
            Self::Full => None,
            Self::Bf16Mixed => Some(Autocast::bf16(device)?),
        };
        Ok(forward())
    }
}
