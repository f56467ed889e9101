//! The number format of a run.

use std::borrow::Cow;

use fulmen_torch::TorchError;
use fulmen_torch::autocast::Autocast;
use fulmen_torch::tch::{Device, Kind};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Number format, by Lightning's names; its short ones (`16`, `bf16`, `32`, `64`) are taken too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Spelling")]
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

/// How a precision may be written: YAML reads `16` as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Spelling {
    Number(i64),
    Text(String),
}

impl TryFrom<Spelling> for Precision {
    type Error = String;

    fn try_from(spelling: Spelling) -> Result<Self, String> {
        let text = match spelling {
            Spelling::Number(bits) => bits.to_string(),
            Spelling::Text(text) => text,
        };
        let known = NAMES.iter().find(|(name, short, _)| *name == text || *short == Some(text.as_str()));
        known.map(|&(_, _, precision)| precision).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|&(name, _, _)| name).collect();
            format!("precision '{text}' is not one of {}", names.join(", "))
        })
    }
}

/// Lightning's name, its short form, and what they mean.
const NAMES: [(&str, Option<&str>, Precision); 6] = [
    ("32-true", Some("32"), Precision::Full),
    ("64-true", Some("64"), Precision::Double),
    ("bf16-true", None, Precision::Bf16),
    ("16-true", None, Precision::Half),
    ("bf16-mixed", Some("bf16"), Precision::Bf16Mixed),
    ("16-mixed", Some("16"), Precision::HalfMixed),
];

impl JsonSchema for Precision {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Precision".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> =
            NAMES.iter().flat_map(|&(name, short, _)| [Some(name), short]).flatten().collect();
        json_schema!({"anyOf": [
            {"type": "string", "enum": names},
            {"type": "integer", "enum": [16, 32, 64]},
        ]})
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_mean_what_they_mean_to_lightning() {
        let read = |json: &str| serde_json::from_str::<Precision>(json).map_err(|error| error.to_string());
        assert_eq!(read("16"), Ok(Precision::HalfMixed));
        assert_eq!(read("\"bf16\""), Ok(Precision::Bf16Mixed));
        assert_eq!(read("\"32\""), Ok(Precision::Full));
        assert_eq!(read("64"), Ok(Precision::Double));
        assert!(read("8").unwrap_err().contains("32-true, 64-true"));
    }

    #[test]
    fn a_precision_is_written_by_its_full_name() {
        for (name, _, precision) in NAMES {
            assert_eq!(serde_json::to_value(precision).unwrap(), name);
        }
    }
}
