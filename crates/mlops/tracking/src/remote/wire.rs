//! MLflow's messages in JSON, and what they say here. Fields that are absent have their default, as in protobuf's JSON form;
//! 64-bit numbers may be numbers or strings.

mod models;

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, json};

pub(super) use self::models::{LoggedModelWire, ModelVersionWire, RegisteredModelWire};
use crate::{
    Axis, Dataset, DatasetInput, DatasetSummary, Experiment, LifecycleStage, Metric, ModelOutput, Param, Run,
    RunData, RunInfo, RunInputs, RunStatus, Tag,
};

/// Tags of this store's own begin with one of these.
pub(super) const JOURNAL_TAG: &str = "fulmen.journal.";
pub(super) const AXIS_TAG: &str = "fulmen.axis.";

/// An answer in which nothing is of interest.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Nothing {}

fn int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| D::Error::custom("expected a 64-bit number"))
}

fn optional_int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    int(deserializer).map(Some)
}

fn some(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn is_deleted(stage: &str) -> LifecycleStage {
    if stage == "deleted" { LifecycleStage::Deleted } else { LifecycleStage::Active }
}

#[derive(Debug, Deserialize)]
pub(super) struct ExperimentWire {
    experiment_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    artifact_location: String,
    #[serde(default)]
    lifecycle_stage: String,
    #[serde(default, deserialize_with = "int")]
    creation_time: i64,
    #[serde(default, deserialize_with = "int")]
    last_update_time: i64,
    #[serde(default)]
    tags: Vec<Tag>,
}

impl From<ExperimentWire> for Experiment {
    fn from(mut wire: ExperimentWire) -> Self {
        wire.tags.sort_by(|left, right| left.key.cmp(&right.key));
        Self {
            experiment_id: wire.experiment_id,
            name: wire.name,
            artifact_location: wire.artifact_location,
            lifecycle_stage: is_deleted(&wire.lifecycle_stage),
            creation_time: wire.creation_time,
            last_update_time: wire.last_update_time,
            tags: wire.tags,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct RunWire {
    info: RunInfoWire,
    #[serde(default)]
    data: RunDataWire,
    #[serde(default)]
    inputs: RunInputsWire,
    #[serde(default)]
    outputs: RunOutputsWire,
}

#[derive(Debug, Deserialize)]
pub(super) struct RunInfoWire {
    run_id: String,
    #[serde(default)]
    experiment_id: String,
    #[serde(default)]
    run_name: String,
    #[serde(default)]
    user_id: String,
    #[serde(default)]
    status: String,
    #[serde(default, deserialize_with = "int")]
    start_time: i64,
    #[serde(default, deserialize_with = "optional_int")]
    end_time: Option<i64>,
    #[serde(default)]
    artifact_uri: String,
    #[serde(default)]
    lifecycle_stage: String,
}

#[derive(Debug, Default, Deserialize)]
struct RunDataWire {
    #[serde(default)]
    metrics: Vec<MetricWire>,
    #[serde(default)]
    params: Vec<Param>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MetricWire {
    key: String,
    #[serde(with = "crate::number")]
    value: f64,
    #[serde(default, deserialize_with = "int")]
    timestamp: i64,
    #[serde(default, deserialize_with = "int")]
    step: i64,
    /// Fulmen's own servers tell.
    #[serde(default)]
    axis: Option<Axis>,
    #[serde(default)]
    dataset_name: String,
    #[serde(default)]
    dataset_digest: String,
    #[serde(default)]
    run_id: String,
}

impl MetricWire {
    pub(super) fn into_metric(self, axes: &HashMap<String, Axis>) -> Metric {
        let axis = self.axis.or_else(|| axes.get(&self.key).copied()).unwrap_or_default();
        Metric { key: self.key, value: self.value, timestamp: self.timestamp, step: self.step, axis }
    }
}

#[derive(Debug, Default, Deserialize)]
struct RunInputsWire {
    #[serde(default)]
    dataset_inputs: Vec<DatasetInputWire>,
    #[serde(default)]
    model_inputs: Vec<ModelInputWire>,
}

#[derive(Debug, Deserialize)]
struct DatasetInputWire {
    #[serde(default)]
    tags: Vec<Tag>,
    dataset: DatasetWire,
}

#[derive(Debug, Deserialize)]
struct DatasetWire {
    name: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    source_type: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    profile: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ModelInputWire {
    model_id: String,
}

#[derive(Debug, Default, Deserialize)]
struct RunOutputsWire {
    #[serde(default)]
    model_outputs: Vec<ModelOutputWire>,
}

#[derive(Debug, Deserialize)]
struct ModelOutputWire {
    model_id: String,
    #[serde(default, deserialize_with = "int")]
    step: i64,
}

/// The axes that a run's tags tell, by metric.
pub(super) fn axes(tags: &[Tag]) -> HashMap<String, Axis> {
    let axes = tags.iter().filter_map(|tag| {
        let key = tag.key.strip_prefix(AXIS_TAG)?;
        Some((key.to_owned(), axis_named(&tag.value)?))
    });
    axes.collect()
}

/// The word for an axis other than that of optimizer steps.
pub(super) fn axis_name(axis: Axis) -> Option<&'static str> {
    match axis {
        Axis::Step => None,
        Axis::Epoch => Some("epoch"),
        Axis::Sample => Some("sample"),
    }
}

fn axis_named(name: &str) -> Option<Axis> {
    [Axis::Epoch, Axis::Sample].into_iter().find(|axis| axis_name(*axis) == Some(name))
}

impl RunWire {
    /// The tags, this store's own included.
    pub(super) fn tags(&self) -> &[Tag] {
        &self.data.tags
    }

    pub(super) fn params(&self) -> &[Param] {
        &self.data.params
    }

    pub(super) fn is_deleted(&self) -> bool {
        is_deleted(&self.info.lifecycle_stage) == LifecycleStage::Deleted
    }
}

impl From<RunInfoWire> for RunInfo {
    fn from(wire: RunInfoWire) -> Self {
        Self {
            run_id: wire.run_id,
            experiment_id: wire.experiment_id,
            run_name: wire.run_name,
            user_id: wire.user_id,
            status: wire.status.parse().unwrap_or(RunStatus::Running),
            start_time: wire.start_time,
            end_time: wire.end_time.filter(|time| *time != 0),
            artifact_uri: wire.artifact_uri,
            lifecycle_stage: is_deleted(&wire.lifecycle_stage),
            deleted_time: None,
        }
    }
}

impl From<RunWire> for Run {
    fn from(wire: RunWire) -> Self {
        let axes = axes(&wire.data.tags);
        let mut data = RunData {
            metrics: wire.data.metrics.into_iter().map(|metric| metric.into_metric(&axes)).collect(),
            params: wire.data.params,
            tags: wire.data.tags,
        };
        data.tags.retain(|tag| !tag.key.starts_with(JOURNAL_TAG) && !tag.key.starts_with(AXIS_TAG));
        data.metrics.sort_by(|left, right| left.key.cmp(&right.key));
        data.params.sort_by(|left, right| left.key.cmp(&right.key));
        data.tags.sort_by(|left, right| left.key.cmp(&right.key));
        let datasets = wire.inputs.dataset_inputs.into_iter().map(|mut input| {
            input.tags.sort_by(|left, right| left.key.cmp(&right.key));
            let DatasetWire { name, digest, source_type, source, schema, profile } = input.dataset;
            let (schema, profile) = (some(schema), some(profile));
            DatasetInput {
                tags: input.tags,
                dataset: Dataset { name, digest, source_type, source, schema, profile },
            }
        });
        let mut models: Vec<String> =
            wire.inputs.model_inputs.into_iter().map(|model| model.model_id).collect();
        models.sort_unstable();
        let outputs = wire.outputs.model_outputs.into_iter();
        Self {
            info: wire.info.into(),
            data,
            inputs: RunInputs { datasets: datasets.collect(), models },
            outputs: outputs
                .map(|output| ModelOutput { model_id: output.model_id, step: output.step })
                .collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct SummaryWire {
    experiment_id: String,
    name: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    context: Option<String>,
}

impl From<SummaryWire> for DatasetSummary {
    fn from(wire: SummaryWire) -> Self {
        let SummaryWire { experiment_id, name, digest, context } = wire;
        Self { experiment_id, name, digest, context: some(context) }
    }
}

/// A point as the server takes it. MLflow's servers pass over the axis.
pub(super) fn metric_json(metric: &Metric) -> Value {
    let mut json = json!({ "key": metric.key, "timestamp": metric.timestamp, "step": metric.step });
    json["value"] =
        crate::number::serialize(&metric.value, serde_json::value::Serializer).unwrap_or_default();
    if let Some(axis) = axis_name(metric.axis) {
        json["axis"] = axis.into();
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_texts_and_absent_fields_have_their_default() {
        let text = r#"{"info": {"run_id": "r", "start_time": "5", "status": "FAILED", "lifecycle_stage": "deleted"},
            "data": {"metrics": [{"key": "m", "value": "NaN", "timestamp": 1, "step": "-9223372036854775808"}],
                     "tags": [{"key": "t", "value": "v"}, {"key": "fulmen.axis.m", "value": "epoch"}, {"key": "fulmen.journal.x", "value": "7"}]}}"#;
        let run = Run::from(serde_json::from_str::<RunWire>(text).unwrap());
        assert_eq!((run.info.start_time, run.info.end_time, run.info.status), (5, None, RunStatus::Failed));
        let metric = &run.data.metrics[0];
        assert!(metric.value.is_nan() && metric.step == i64::MIN && metric.axis == Axis::Epoch);
        assert_eq!(run.data.tags, [Tag::new("t", "v")]);
    }

    #[test]
    fn points_keep_their_bits() {
        let metric = Metric { axis: Axis::Sample, timestamp: 1, ..Metric::at_step("m", 0.1 + 0.2, i64::MAX) };
        let text = metric_json(&metric).to_string();
        assert_eq!(
            text,
            r#"{"key":"m","timestamp":1,"step":9223372036854775807,"value":0.30000000000000004,"axis":"sample"}"#
        );
        let back: MetricWire = serde_json::from_str(&text).unwrap();
        assert_eq!(back.into_metric(&HashMap::new()), metric);
        assert_eq!(metric_json(&Metric { value: f64::INFINITY, ..metric })["value"], "Infinity");
    }
}
