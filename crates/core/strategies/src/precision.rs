//! The number format of a run.

use fulmen_torch::TorchError;
use fulmen_torch::autocast::Autocast;
use fulmen_torch::tch::{Device, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number format, by Lightning's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Precision {
    /// Everything in f32.
    #[default]
    #[serde(rename = "32-true")]
    Full,
    /// Everything in f64.
    #[serde(rename = "64-true")]
    Double,
    /// Everything in bf16.
    #[serde(rename = "bf16-true")]
    Bf16,
    /// Everything in f16.
    #[serde(rename = "16-true")]
    Half,
    /// Parameters in f32; matrix products and convolutions in bf16.
    #[serde(rename = "bf16-mixed")]
    Bf16Mixed,
    /// Parameters in f32; matrix products and convolutions in f16, the loss scaled so that gradients do not vanish.
    #[serde(rename = "16-mixed")]
    HalfMixed,
}

impl Precision {
    /// The format of parameters and of the data's floating tensors.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Full | Self::Bf16Mixed | Self::HalfMixed => Kind::Float,
            Self::Double => Kind::Double,
            Self::Bf16 => Kind::BFloat16,
            Self::Half => Kind::Half,
        }
    }

    /// Whether the loss is scaled before the backward pass (Micikevicius et al. 2017, arXiv:1710.03740).
    pub const fn scales_loss(self) -> bool {
        matches!(self, Self::HalfMixed)
    }

    /// Runs `forward` in this precision on `device`.
    ///
    /// # Errors
    /// When libtorch refuses the format here.
    pub fn run<T>(self, device: Device, forward: impl FnOnce() -> T) -> Result<T, TorchError> {
        let _guard = match self {
            Self::Bf16Mixed => Some(Autocast::new(device, Kind::BFloat16)?),
            Self::HalfMixed => Some(Autocast::new(device, Kind::Half)?),
            _ => None,
        };
        Ok(forward())
    }
}
