//! A metric that is watched, and which way is better.

use fulmen_contracts::event::Values;
use fulmen_utils::nearest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which way is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MonitorMode {
    /// Less is better, as for a loss.
    #[default]
    Min,
    /// More is better, as for an accuracy.
    Max,
}

impl MonitorMode {
    /// The other way.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Min => Self::Max,
            Self::Max => Self::Min,
        }
    }

    /// The value that every other is better than.
    pub const fn worst(self) -> f64 {
        match self {
            Self::Min => f64::INFINITY,
            Self::Max => f64::NEG_INFINITY,
        }
    }

    /// Whether `value` is better than `best` by more than `min_delta`. NaN is never better.
    pub fn is_better(self, value: f64, best: f64, min_delta: f64) -> bool {
        match self {
            Self::Min => value < best - min_delta,
            Self::Max => value > best + min_delta,
        }
    }
}

/// The value of the metric `monitor`.
///
/// # Errors
/// When there is no such metric: `callback` waits for something that never comes.
pub(super) fn watched(monitor: &str, metrics: &Values, callback: &str) -> Result<f64> {
    metrics.get(monitor).copied().ok_or_else(|| {
        let hint = nearest::hint(monitor, metrics.keys().map(String::as_str));
        let known = metrics.keys().cloned().collect::<Vec<_>>().join(", ");
        Error::config(
            format!("callbacks.{callback}.monitor"),
            format!("there is no metric '{monitor}' to monitor{hint}; there are {known}"),
        )
    })
}
