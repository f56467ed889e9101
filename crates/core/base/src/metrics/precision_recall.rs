//! Precision, recall and their harmonic mean.

use std::sync::Arc;

use fulmen_registry::{BuildError, component};
use schemars::JsonSchema;
use serde::Deserialize;

use super::class_score::{ClassScore, Score};
use super::classes::{Average, ignore_index};
use crate::{Metric, MetricKind};

/// Share of what was said to be a class that is of it: tp / (tp + fp).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrecisionConfig {
    /// How the classes become one value.
    #[serde(default)]
    pub(crate) average: Average,
    /// How many guesses a sample has: the right class counts as predicted where it is among them.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub(crate) top_k: i64,
    /// Samples with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

/// Share of a class's samples that were found: tp / (tp + fn).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecallConfig {
    /// How the classes become one value.
    #[serde(default)]
    pub(crate) average: Average,
    /// How many guesses a sample has: the right class counts as predicted where it is among them.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub(crate) top_k: i64,
    /// Samples with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

/// Weighted harmonic mean of precision and recall (van Rijsbergen 1979).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FBetaConfig {
    /// How many times as much recall weighs as precision.
    pub(crate) beta: f64,
    /// How the classes become one value.
    #[serde(default)]
    pub(crate) average: Average,
    /// Samples with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

/// Harmonic mean of precision and recall.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct F1Config {
    /// How the classes become one value.
    #[serde(default)]
    pub(crate) average: Average,
    /// Samples with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

const fn one() -> i64 {
    1
}

component! { MetricKind, "precision", PrecisionConfig => |config, ()| {
    Ok(score(Score::Precision, config.average, config.top_k, config.ignore_index))
} }
component! { MetricKind, "recall", RecallConfig => |config, ()| {
    Ok(score(Score::Recall, config.average, config.top_k, config.ignore_index))
} }
component! { MetricKind, "fbeta", FBetaConfig => fbeta }
component! { MetricKind, "f1", F1Config => |config, ()| {
    Ok(score(Score::FBeta(1.0), config.average, 1, config.ignore_index))
} }

fn fbeta(config: &FBetaConfig, (): ()) -> Result<Arc<dyn Metric>, BuildError> {
    if config.beta > 0.0 && config.beta.is_finite() {
        Ok(score(Score::FBeta(config.beta), config.average, 1, config.ignore_index))
    } else {
        Err(BuildError::setting("beta", format!("beta is {}, and must be above 0", config.beta)))
    }
}

fn score(score: Score, average: Average, top_k: i64, ignore_index: i64) -> Arc<dyn Metric> {
    Arc::new(ClassScore { score, average, top_k, ignore_index })
}
