//! MLflow's entities, under MLflow's names: what a tracking store keeps.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use fulmen_contracts::Axis;

use crate::{ModelOutput, RunInputs, TrackingError};

/// A group of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// A decimal number for most stores; `0` is the experiment `Default`.
    pub experiment_id: String,
    /// Unique among all experiments, deleted ones included.
    pub name: String,
    /// Path or URI below which the artifacts of its runs lie.
    pub artifact_location: String,
    /// Whether it is deleted.
    pub lifecycle_stage: LifecycleStage,
    /// Milliseconds since 1970.
    pub creation_time: i64,
    /// Milliseconds since 1970.
    pub last_update_time: i64,
    /// Sorted by key.
    pub tags: Vec<Tag>,
}

/// One run: what describes it and what it logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What describes it.
    pub info: RunInfo,
    /// What it logged.
    pub data: RunData,
    /// What it was given.
    #[serde(default)]
    pub inputs: RunInputs,
    /// Models that it has made.
    #[serde(default)]
    pub outputs: Vec<ModelOutput>,
}

/// What describes a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// 32 hexadecimal digits.
    pub run_id: String,
    /// The experiment it belongs to.
    pub experiment_id: String,
    /// Always equal to the tag `mlflow.runName`; need not be unique.
    pub run_name: String,
    /// Who started it.
    pub user_id: String,
    /// Where it is in its life.
    pub status: RunStatus,
    /// Milliseconds since 1970.
    pub start_time: i64,
    /// Milliseconds since 1970; `None` while it runs.
    pub end_time: Option<i64>,
    /// Path or URI of its artifacts.
    pub artifact_uri: String,
    /// Whether it is deleted.
    pub lifecycle_stage: LifecycleStage,
    /// When it was deleted, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_time: Option<i64>,
}

/// What a run logged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunData {
    /// The latest point of each metric, sorted by key.
    pub metrics: Vec<Metric>,
    /// Sorted by key.
    pub params: Vec<Param>,
    /// Sorted by key.
    pub tags: Vec<Tag>,
}

/// One point of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Such as `train/loss`.
    pub key: String,
    /// Any number, NaN and the infinities included.
    #[serde(with = "crate::number")]
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Position along [`axis`](Self::axis).
    #[serde(default)]
    pub step: i64,
    /// What `step` counts.
    #[serde(default)]
    pub axis: Axis,
}

/// A fact about a run that never changes once it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Such as `model.depth`.
    pub key: String,
    /// Any text.
    pub value: String,
}

/// A label that may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Keys that begin with `mlflow.` or `fulmen.` have a meaning of their own.
    pub key: String,
    /// Any text.
    pub value: String,
}

impl Metric {
    /// The point `value` at `step`, counted in optimizer steps, now.
    #[must_use]
    pub fn at_step(key: impl Into<String>, value: f64, step: i64) -> Self {
        Self { key: key.into(), value, timestamp: now_ms(), step, axis: Axis::Step }
    }
}

impl Param {
    /// A param.
    #[must_use]
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl Tag {
    /// A tag.
    #[must_use]
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// Whether an experiment or a run is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifecycleStage {
    /// Ordinary.
    #[default]
    Active,
    /// Hidden, refuses writes, can be restored until garbage is collected.
    Deleted,
}

/// Which lifecycle stages a search looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ViewType {
    /// Those that are not deleted.
    #[default]
    ActiveOnly,
    /// Those that are deleted.
    DeletedOnly,
    /// Both.
    All,
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunStatus {
    /// Under way.
    #[default]
    Running,
    /// Waiting for its turn.
    Scheduled,
    /// Ended well.
    Finished,
    /// Ended by an error.
    Failed,
    /// Ended from outside.
    Killed,
}

impl RunStatus {
    /// All statuses.
    pub const ALL: [Self; 5] = [Self::Running, Self::Scheduled, Self::Finished, Self::Failed, Self::Killed];

    /// MLflow's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// Whether the run has ended.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for RunStatus {
    type Err = TrackingError;

    fn from_str(text: &str) -> Result<Self, TrackingError> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| TrackingError::Invalid {
            what: "run status",
            value: text.to_owned(),
            reason: "it is not one of RUNNING, SCHEDULED, FINISHED, FAILED, KILLED".to_owned(),
        })
    }
}

/// The present, in milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
