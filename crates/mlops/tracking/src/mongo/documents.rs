//! What the collections hold. Everything that a user wrote is a value here, never the name of a field.

use std::cmp::Ordering;

use mongodb::bson::Binary;
use serde::{Deserialize, Serialize};

use crate::{Axis, LifecycleStage, Metric, ModelOutput, Param, RunInfo, RunStatus, Tag};

/// A document that is changed by reading it and writing it back, if nobody was faster: its revision tells.
pub(super) trait Revisioned {
    fn revision(&mut self) -> &mut i64;
}

macro_rules! revisioned {
    ($($document:ty),*) => {
        $(impl Revisioned for $document {
            fn revision(&mut self) -> &mut i64 {
                &mut self.revision
            }
        })*
    };
}

revisioned!(ExperimentDocument, RunDocument, LoggedModelDocument, RegisteredModelDocument, VersionDocument);

/// A tag or a param.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) k: String,
    pub(super) v: String,
}

/// Sets a tag; the pairs stay sorted by key.
pub(super) fn set_pair(pairs: &mut Vec<Pair>, key: &str, value: &str) {
    match pairs.binary_search_by(|pair| pair.k.as_str().cmp(key)) {
        Ok(at) => pairs[at].v = value.to_owned(),
        Err(at) => pairs.insert(at, Pair { k: key.to_owned(), v: value.to_owned() }),
    }
}

/// The value of a key, in pairs that are sorted.
pub(super) fn pair<'a>(pairs: &'a [Pair], key: &str) -> Option<&'a str> {
    let at = pairs.binary_search_by(|pair| pair.k.as_str().cmp(key)).ok()?;
    Some(&pairs[at].v)
}

/// Pairs from tags; of a key that comes twice the last one.
pub(super) fn pairs_of(tags: &[Tag]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    tags.iter().for_each(|tag| set_pair(&mut pairs, &tag.key, &tag.value));
    pairs
}

pub(super) fn tags_of(pairs: Vec<Pair>) -> Vec<Tag> {
    pairs.into_iter().map(|Pair { k, v }| Tag { key: k, value: v }).collect()
}

pub(super) fn params_of(pairs: Vec<Pair>) -> Vec<Param> {
    pairs.into_iter().map(|Pair { k, v }| Param { key: k, value: v }).collect()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ExperimentDocument {
    #[serde(rename = "_id")]
    pub(super) id: i64,
    /// The id as its users know it, for filters.
    pub(super) experiment_id: String,
    pub(super) revision: i64,
    pub(super) name: String,
    pub(super) artifact_location: String,
    pub(super) creation_time: i64,
    pub(super) last_update_time: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deleted_time: Option<i64>,
    pub(super) tags: Vec<Pair>,
}

/// A run with all that it logged, but for the points of its metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RunDocument {
    #[serde(rename = "_id")]
    pub(super) run_id: String,
    pub(super) revision: i64,
    pub(super) experiment_id: i64,
    pub(super) run_name: String,
    pub(super) user_id: String,
    pub(super) status: RunStatus,
    pub(super) start_time: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deleted_time: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleted_with_experiment: bool,
    pub(super) artifact_uri: String,
    /// The latest point of each metric, sorted by key.
    pub(super) metrics: Vec<LatestPoint>,
    pub(super) params: Vec<Pair>,
    pub(super) tags: Vec<Pair>,
    #[serde(default)]
    pub(super) datasets: Vec<RunDataset>,
    #[serde(default)]
    pub(super) input_models: Vec<String>,
    #[serde(default)]
    pub(super) outputs: Vec<ModelOutput>,
    /// How far each journal has been delivered. Left out of searches.
    #[serde(default)]
    pub(super) journals: Vec<JournalPosition>,
}

impl RunDocument {
    pub(super) fn info(&self) -> RunInfo {
        RunInfo {
            run_id: self.run_id.clone(),
            experiment_id: self.experiment_id.to_string(),
            run_name: self.run_name.clone(),
            user_id: self.user_id.clone(),
            status: self.status,
            start_time: self.start_time,
            end_time: self.end_time,
            artifact_uri: self.artifact_uri.clone(),
            lifecycle_stage: stage_of(self.deleted_time),
            deleted_time: self.deleted_time,
        }
    }
}

pub(super) fn stage_of(deleted_time: Option<i64>) -> LifecycleStage {
    if deleted_time.is_some() { LifecycleStage::Deleted } else { LifecycleStage::Active }
}

/// The latest point of a metric.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LatestPoint {
    pub(super) k: String,
    pub(super) s: i64,
    pub(super) t: i64,
    #[serde(default)]
    pub(super) a: i64,
    /// Absent for NaN, which compares with nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) v: Option<f64>,
}

impl LatestPoint {
    pub(super) fn new(key: String, Point { s, t, a, v }: Point) -> Self {
        Self { k: key, s, t, a, v }
    }

    pub(super) fn point(&self) -> Point {
        Point { s: self.s, t: self.t, a: self.a, v: self.v }
    }
}

/// Keeps the later of a point and the one that is there; the points stay sorted by key.
pub(super) fn keep_latest(points: &mut Vec<LatestPoint>, key: &str, point: Point) {
    match points.binary_search_by(|latest| latest.k.as_str().cmp(key)) {
        Ok(at) if point.is_later(&points[at].point()) => points[at] = LatestPoint::new(key.to_owned(), point),
        Ok(_) => {}
        Err(at) => points.insert(at, LatestPoint::new(key.to_owned(), point)),
    }
}

/// A point without its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) s: i64,
    pub(super) t: i64,
    pub(super) a: i64,
    /// `None` for NaN.
    pub(super) v: Option<f64>,
}

impl Point {
    pub(super) fn of(metric: &Metric) -> Self {
        let v = Some(metric.value).filter(|value| !value.is_nan());
        Self { s: metric.step, t: metric.timestamp, a: stored_axis(metric.axis), v }
    }

    pub(super) fn metric(&self, key: String) -> Metric {
        let value = self.v.unwrap_or(f64::NAN);
        Metric { key, value, timestamp: self.t, step: self.s, axis: read_axis(self.a) }
    }

    /// MLflow's rule: the latest point has the largest step, then time, then value; here a number also beats NaN.
    pub(super) fn is_later(&self, than: &Self) -> bool {
        match (self.s, self.t).cmp(&(than.s, than.t)) {
            Ordering::Equal => match (self.v, than.v) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(own), Some(other)) => own > other,
            },
            order => order == Ordering::Greater,
        }
    }
}

pub(super) fn stored_axis(axis: Axis) -> i64 {
    match axis {
        Axis::Step => 0,
        Axis::Epoch => 1,
        Axis::Sample => 2,
    }
}

pub(super) fn read_axis(axis: i64) -> Axis {
    match axis {
        1 => Axis::Epoch,
        2 => Axis::Sample,
        _ => Axis::Step,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JournalPosition {
    pub(super) id: String,
    pub(super) position: i64,
}

/// Points that a run has been given and that are not all in `points` yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) keys: Vec<String>,
    /// See [`super::points::pack`].
    pub(super) points: Binary,
    #[serde(default)]
    pub(super) models: Vec<PendingModelPoint>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PendingModelPoint {
    pub(super) model_id: String,
    pub(super) point: ModelPoint,
}

/// The latest point that a run measured on a logged model, and a dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ModelPoint {
    pub(super) k: String,
    pub(super) run_id: String,
    #[serde(default)]
    pub(super) dataset_name: String,
    #[serde(default)]
    pub(super) dataset_digest: String,
    pub(super) s: i64,
    pub(super) t: i64,
    #[serde(default)]
    pub(super) a: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) v: Option<f64>,
}

impl ModelPoint {
    pub(super) fn point(&self) -> Point {
        Point { s: self.s, t: self.t, a: self.a, v: self.v }
    }

    pub(super) fn is_of_same(&self, other: &Self) -> bool {
        self.is_on_same_dataset(other) && self.run_id == other.run_id
    }

    pub(super) fn is_on_same_dataset(&self, other: &Self) -> bool {
        (&self.k, &self.dataset_name, &self.dataset_digest)
            == (&other.k, &other.dataset_name, &other.dataset_digest)
    }
}

/// A dataset that a run was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RunDataset {
    /// Of the [`DatasetDocument`].
    pub(super) id: String,
    pub(super) name: String,
    pub(super) digest: String,
    pub(super) tags: Vec<Pair>,
}

/// A dataset, which an experiment has once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DatasetDocument {
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) experiment_id: i64,
    pub(super) name: String,
    pub(super) digest: String,
    pub(super) source_type: String,
    pub(super) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LoggedModelDocument {
    #[serde(rename = "_id")]
    pub(super) model_id: String,
    pub(super) revision: i64,
    pub(super) experiment_id: i64,
    /// The same as text, for filters.
    pub(super) experiment: String,
    pub(super) name: String,
    pub(super) artifact_uri: String,
    pub(super) creation_time: i64,
    pub(super) last_update_time: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deleted_time: Option<i64>,
    pub(super) status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source_run_id: Option<String>,
    pub(super) tags: Vec<Pair>,
    pub(super) params: Vec<Pair>,
    #[serde(default)]
    pub(super) metrics: Vec<ModelPoint>,
    /// The latest of `metrics` by key, for orders.
    #[serde(default)]
    pub(super) latest: Vec<LatestPoint>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RegisteredModelDocument {
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) revision: i64,
    pub(super) name: String,
    pub(super) creation_time: i64,
    pub(super) last_update_time: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// The greatest there has been: numbers are not used again.
    pub(super) last_version: i64,
    pub(super) tags: Vec<Pair>,
    /// Sorted by alias.
    pub(super) aliases: Vec<AliasEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AliasEntry {
    pub(super) alias: String,
    pub(super) version: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct VersionDocument {
    /// Model and number.
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) revision: i64,
    /// Id of the [`RegisteredModelDocument`].
    pub(super) model: String,
    /// Its name, for filters and orders.
    pub(super) name: String,
    pub(super) version: i64,
    pub(super) creation_time: i64,
    pub(super) last_update_time: i64,
    pub(super) stage: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    pub(super) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) storage_location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run_link: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model_id: Option<String>,
    pub(super) tags: Vec<Pair>,
}
