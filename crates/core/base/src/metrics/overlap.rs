//! How far the regions of a segmentation overlap; over samples of one class they are scores like any other.

use std::sync::Arc;

use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use super::class_score::{ClassScore, Score};
use super::classes::{Average, ignore_index};
use crate::MetricKind;

/// Intersection over union, IoU, of each class over all samples and pixels (Jaccard 1901).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JaccardIndexConfig {
    /// How the classes become one value; `macro` is the mean IoU.
    #[serde(default)]
    pub(crate) average: Average,
    /// Samples with this target are left out, and the class of this number with them.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

/// Twice the intersection over the sum of each class's predictions and targets, over all samples and pixels (Dice 1945).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiceConfig {
    /// How the classes become one value.
    #[serde(default)]
    pub(crate) average: Average,
    /// Whether class 0 counts.
    #[serde(default = "yes")]
    pub(crate) include_background: bool,
    /// Samples with this target are left out.
    #[serde(default = "ignore_index")]
    pub(crate) ignore_index: i64,
}

const fn yes() -> bool {
    true
}

component! { MetricKind, "jaccard_index", JaccardIndexConfig => |config, ()| {
    Ok(Arc::new(ClassScore {
        score: Score::Jaccard,
        average: config.average,
        top_k: 1,
        ignore_index: config.ignore_index,
    }))
} }
component! { MetricKind, "dice", DiceConfig => |config, ()| {
    Ok(Arc::new(ClassScore {
        score: Score::Dice { include_background: config.include_background },
        average: config.average,
        top_k: 1,
        ignore_index: config.ignore_index,
    }))
} }
