//! How many devices a run is spread over, and how.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How a step is spread over devices and processes, by Lightning's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StrategyName {
    /// What fits the devices.
    #[default]
    Auto,
    /// One process, one device.
    SingleDevice,
}

/// How many devices: `auto`, a number (-1 for all), or their indices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Devices {
    /// What there is of the accelerator.
    Auto(Auto),
    /// So many; -1 takes all.
    Count(i64),
    /// These.
    Indices(Vec<usize>),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// `auto`.
    #[default]
    Auto,
}

impl Default for Devices {
    fn default() -> Self {
        Self::Auto(Auto::Auto)
    }
}

impl Devices {
    /// The one device that a run on one device uses, by its index.
    ///
    /// # Errors
    /// When several are asked for, or none: the message says what is possible.
    pub fn single(&self) -> Result<usize, String> {
        match self {
            Self::Auto(_) | Self::Count(1) => Ok(0),
            Self::Indices(indices) if indices.len() == 1 => Ok(indices[0]),
            Self::Count(0) => Err("a run needs a device: set 1, auto, or the index of one as [0]".to_owned()),
            other => {
                let wanted = match other {
                    Self::Count(-1) => "all devices".to_owned(),
                    Self::Count(count) => format!("{count} devices"),
                    _ => "several devices".to_owned(),
                };
                Err(format!(
                    "{wanted} need a distributed strategy, which this version does not have yet: set 1, auto, or the index of one as [0]"
                ))
            }
        }
    }
}

impl JsonSchema for Devices {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Devices".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "string", "enum": ["auto"]},
            {"type": "integer", "minimum": -1},
            {"type": "array", "items": {"type": "integer", "minimum": 0}},
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_is_chosen_by_number_or_index_and_several_are_refused() {
        let read = |text: &str| serde_json::from_str::<Devices>(text).unwrap();
        assert_eq!(
            (read("\"auto\"").single(), read("1").single(), read("[3]").single()),
            (Ok(0), Ok(0), Ok(3))
        );
        assert!(read("2").single().unwrap_err().contains("2 devices need a distributed strategy"));
        assert!(read("-1").single().unwrap_err().contains("all devices"));
        assert!(read("[0, 1]").single().is_err() && read("0").single().is_err());
    }
}
