//! How much of the data, how often: arguments that are a share or a number.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::time_limit::TimeLimit;

/// A share of the batches, or a number of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Limit {
    /// So many batches.
    Batches(u64),
    /// A share of all, `0.0..=1.0`.
    Share(#[schemars(range(min = 0.0, max = 1.0))] f64),
}

impl Limit {
    /// No limit.
    pub const ALL: Self = Self::Share(1.0);

    /// How many of `available`.
    pub fn of(self, available: u64) -> u64 {
        match self {
            Self::Batches(batches) => batches.min(available),
            Self::Share(share) => ((available as f64 * share.clamp(0.0, 1.0)) as u64).min(available),
        }
    }

    /// Whether it leaves nothing, and was meant to.
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Batches(0)) || self == Self::Share(0.0)
    }
}

/// When validation runs within training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ValCheckInterval {
    /// After so many training batches.
    Batches(#[schemars(range(min = 1))] u64),
    /// After this share of an epoch.
    Share(#[schemars(range(min = 0.0, max = 1.0))] f64),
    /// After so much time: `DD:HH:MM:SS`.
    Time(TimeLimit),
}

/// Whether, and with how many batches, to see that everything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FastDevRun {
    /// One batch, or an ordinary run.
    Switch(bool),
    /// So many batches.
    Batches(u64),
}

impl FastDevRun {
    /// Batches of every stage; none in an ordinary run.
    pub const fn batches(self) -> Option<u64> {
        match self {
            Self::Switch(false) | Self::Batches(0) => None,
            Self::Switch(true) => Some(1),
            Self::Batches(batches) => Some(batches),
        }
    }
}

/// Whether kernels must give the same bits each time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenDeterministic", into = "WrittenDeterministic")]
pub enum Deterministic {
    /// The fastest kernel is taken.
    #[default]
    No,
    /// Only kernels that do; an operator without one is an error.
    Yes,
    /// Kernels that do where there are such, else a warning.
    Warn,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenDeterministic {
    Switch(bool),
    Word(Word),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Warn,
}

impl From<WrittenDeterministic> for Deterministic {
    fn from(written: WrittenDeterministic) -> Self {
        match written {
            WrittenDeterministic::Switch(false) => Self::No,
            WrittenDeterministic::Switch(true) => Self::Yes,
            WrittenDeterministic::Word(Word::Warn) => Self::Warn,
        }
    }
}

impl From<Deterministic> for WrittenDeterministic {
    fn from(deterministic: Deterministic) -> Self {
        match deterministic {
            Deterministic::No => Self::Switch(false),
            Deterministic::Yes => Self::Switch(true),
            Deterministic::Warn => Self::Word(Word::Warn),
        }
    }
}

impl JsonSchema for Deterministic {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Deterministic".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["warn"]}]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_str, to_string};

    #[test]
    fn limits_are_shares_or_numbers() {
        assert_eq!(
            (Limit::Share(0.25).of(10), Limit::Batches(3).of(10), Limit::Batches(30).of(10)),
            (2, 3, 10)
        );
        assert_eq!(from_str::<Limit>("1.0").unwrap(), Limit::ALL);
        assert_eq!(from_str::<Limit>("1").unwrap(), Limit::Batches(1));
        assert!(Limit::Batches(0).is_zero() && Limit::Share(0.0).is_zero() && !Limit::Share(0.1).is_zero());
    }

    #[test]
    fn validation_is_timed_by_share_batches_or_clock() {
        assert_eq!(from_str::<ValCheckInterval>("0.5").unwrap(), ValCheckInterval::Share(0.5));
        assert_eq!(from_str::<ValCheckInterval>("100").unwrap(), ValCheckInterval::Batches(100));
        let quarter = from_str::<ValCheckInterval>("\"00:00:15:00\"").unwrap();
        assert!(matches!(quarter, ValCheckInterval::Time(time) if time.0.as_secs() == 900));
    }

    #[test]
    fn deterministic_is_a_switch_or_a_warning() {
        for (text, value) in
            [("true", Deterministic::Yes), ("false", Deterministic::No), ("\"warn\"", Deterministic::Warn)]
        {
            assert_eq!(from_str::<Deterministic>(text).unwrap(), value);
            assert_eq!(to_string(&value).unwrap(), text);
        }
        assert!(from_str::<Deterministic>("\"wran\"").is_err());
    }
}
