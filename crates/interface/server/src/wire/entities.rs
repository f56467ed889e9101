//! Experiments, runs, metrics, datasets, logged models: from requests, and into answers.

use fulmen_tracking::{
    Axis, Dataset, DatasetInput, DatasetSummary, Experiment, LifecycleStage, LoggedModel, LoggedModelStatus,
    MAX_PARAM_VALUE, MAX_TAG_VALUE, Metric, ModelMetric, ModelOutput, Param, Run, RunInfo, RunStatus, Tag,
    ViewType,
};
use serde::{Serialize, Serializer};

use super::Fields;
use crate::frame::ApiError;

pub(crate) const VIEW_TYPES: &[(&str, i64, ViewType)] = &[
    ("ACTIVE_ONLY", 1, ViewType::ActiveOnly),
    ("DELETED_ONLY", 2, ViewType::DeletedOnly),
    ("ALL", 3, ViewType::All),
];

pub(crate) const RUN_STATUSES: &[(&str, i64, RunStatus)] = &[
    ("RUNNING", 1, RunStatus::Running),
    ("SCHEDULED", 2, RunStatus::Scheduled),
    ("FINISHED", 3, RunStatus::Finished),
    ("FAILED", 4, RunStatus::Failed),
    ("KILLED", 5, RunStatus::Killed),
];

pub(crate) const LOGGED_MODEL_STATUSES: &[(&str, i64, LoggedModelStatus)] = &[
    ("LOGGED_MODEL_PENDING", 1, LoggedModelStatus::Pending),
    ("LOGGED_MODEL_READY", 2, LoggedModelStatus::Ready),
    ("LOGGED_MODEL_UPLOAD_FAILED", 3, LoggedModelStatus::UploadFailed),
];

/// A metric point and, where it was measured on a logged model, the same for that model.
pub(crate) fn read_metric(fields: Fields<'_>) -> Result<(Metric, Option<ModelMetric>), ApiError> {
    let metric = Metric {
        key: fields.required("key")?.to_owned(),
        value: fields.number("value")?.ok_or_else(|| fields.missing("value"))?,
        timestamp: fields.integer("timestamp")?.ok_or_else(|| fields.missing("timestamp"))?,
        step: fields.integer("step")?.unwrap_or(0),
        axis: Axis::Step,
    };
    if metric.timestamp < 0 {
        return Err(fields.wrong("timestamp", "0 or more", &metric.timestamp.into()));
    }
    let Some(model_id) = fields.some_text("model_id")? else { return Ok((metric, None)) };
    let dataset = match fields.some_text("dataset_name")? {
        Some(name) => Some((name, fields.some_text("dataset_digest")?.unwrap_or_default())),
        None => None,
    };
    let on_model = ModelMetric { model_id, metric: metric.clone(), dataset };
    Ok((metric, Some(on_model)))
}

/// A param; a value beyond MLflow's limit is cut, as MLflow does.
pub(crate) fn read_param(fields: Fields<'_>) -> Result<Param, ApiError> {
    let key = fields.required("key")?;
    Ok(Param::new(key, cut(fields.text("value")?.unwrap_or_default(), MAX_PARAM_VALUE)))
}

/// A tag of a run; a value beyond MLflow's limit is cut, as MLflow does.
pub(crate) fn read_run_tag(fields: Fields<'_>) -> Result<Tag, ApiError> {
    let key = fields.required("key")?;
    Ok(Tag::new(key, cut(fields.text("value")?.unwrap_or_default(), MAX_TAG_VALUE)))
}

/// A tag of anything else.
pub(crate) fn read_tag(fields: Fields<'_>) -> Result<Tag, ApiError> {
    Ok(Tag::new(fields.required("key")?, fields.text("value")?.unwrap_or_default()))
}

/// The first `limit` characters.
fn cut(text: &str, limit: usize) -> &str {
    // Bytes are never fewer than characters, so most texts need no count.
    let end = (text.len() > limit).then(|| text.char_indices().nth(limit)).flatten();
    end.map_or(text, |(end, _)| &text[..end])
}

pub(crate) fn read_dataset_input(fields: Fields<'_>) -> Result<DatasetInput, ApiError> {
    let dataset = fields.object("dataset")?.ok_or_else(|| fields.missing("dataset"))?;
    Ok(DatasetInput {
        tags: fields.objects("tags", read_tag)?,
        dataset: Dataset {
            name: dataset.required("name")?.to_owned(),
            digest: dataset.text("digest")?.unwrap_or_default().to_owned(),
            source_type: dataset.text("source_type")?.unwrap_or_default().to_owned(),
            source: dataset.text("source")?.unwrap_or_default().to_owned(),
            schema: dataset.some_text("schema")?,
            profile: dataset.some_text("profile")?,
        },
    })
}

pub(crate) fn read_model_output(fields: Fields<'_>) -> Result<ModelOutput, ApiError> {
    let model_id = fields.required("model_id")?.to_owned();
    Ok(ModelOutput { model_id, step: fields.integer("step")?.unwrap_or(0) })
}

/// MLflow's JSON of a float: NaN is a text; its SQL stores keep an infinity as the largest number.
fn write_float<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_nan() {
        serializer.serialize_str("NaN")
    } else {
        serializer.serialize_f64(value.clamp(f64::MIN, f64::MAX))
    }
}

fn is_none<T>(value: &Option<T>) -> bool {
    value.is_none()
}

#[derive(Debug, Serialize)]
pub(crate) struct WireTag<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
}

pub(crate) fn tags(tags: &[Tag]) -> Vec<WireTag<'_>> {
    tags.iter().map(|tag| WireTag { key: &tag.key, value: &tag.value }).collect()
}

fn params(params: &[Param]) -> Vec<WireTag<'_>> {
    params.iter().map(|param| WireTag { key: &param.key, value: &param.value }).collect()
}

#[derive(Debug, Serialize)]
pub(crate) struct WireExperiment<'a> {
    experiment_id: &'a str,
    name: &'a str,
    artifact_location: &'a str,
    lifecycle_stage: LifecycleStage,
    last_update_time: i64,
    creation_time: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<WireTag<'a>>,
}

impl<'a> From<&'a Experiment> for WireExperiment<'a> {
    fn from(experiment: &'a Experiment) -> Self {
        Self {
            experiment_id: &experiment.experiment_id,
            name: &experiment.name,
            artifact_location: &experiment.artifact_location,
            lifecycle_stage: experiment.lifecycle_stage,
            last_update_time: experiment.last_update_time,
            creation_time: experiment.creation_time,
            tags: tags(&experiment.tags),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct WireMetric<'a> {
    key: &'a str,
    #[serde(serialize_with = "write_float")]
    value: f64,
    timestamp: i64,
    step: i64,
    #[serde(skip_serializing_if = "is_none")]
    dataset_name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_none")]
    dataset_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "is_none")]
    model_id: Option<&'a str>,
    #[serde(skip_serializing_if = "is_none")]
    run_id: Option<&'a str>,
}

impl<'a> WireMetric<'a> {
    /// A point, with the run that it belongs to.
    pub(crate) fn of_run(metric: &'a Metric, run_id: &'a str) -> Self {
        Self { run_id: Some(run_id), ..Self::from(metric) }
    }
}

impl<'a> From<&'a Metric> for WireMetric<'a> {
    fn from(metric: &'a Metric) -> Self {
        Self {
            key: &metric.key,
            value: metric.value,
            timestamp: metric.timestamp,
            step: metric.step,
            dataset_name: None,
            dataset_digest: None,
            model_id: None,
            run_id: None,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct WireRunInfo<'a> {
    run_id: &'a str,
    run_uuid: &'a str,
    run_name: &'a str,
    experiment_id: &'a str,
    user_id: &'a str,
    status: RunStatus,
    start_time: i64,
    #[serde(skip_serializing_if = "is_none")]
    end_time: Option<i64>,
    artifact_uri: &'a str,
    lifecycle_stage: LifecycleStage,
}

impl<'a> From<&'a RunInfo> for WireRunInfo<'a> {
    fn from(info: &'a RunInfo) -> Self {
        Self {
            run_id: &info.run_id,
            run_uuid: &info.run_id,
            run_name: &info.run_name,
            experiment_id: &info.experiment_id,
            user_id: &info.user_id,
            status: info.status,
            start_time: info.start_time,
            end_time: info.end_time,
            artifact_uri: &info.artifact_uri,
            lifecycle_stage: info.lifecycle_stage,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct WireRun<'a> {
    info: WireRunInfo<'a>,
    data: WireRunData<'a>,
    inputs: WireRunInputs<'a>,
    outputs: WireRunOutputs<'a>,
}

#[derive(Debug, Serialize)]
struct WireRunData<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<WireMetric<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<WireTag<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<WireTag<'a>>,
}

#[derive(Debug, Serialize)]
struct WireRunInputs<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_inputs: Vec<WireDatasetInput<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_inputs: Vec<WireModelInput<'a>>,
}

#[derive(Debug, Serialize)]
struct WireModelInput<'a> {
    model_id: &'a str,
}

#[derive(Debug, Serialize)]
struct WireRunOutputs<'a> {
    #[serde(skip_serializing_if = "<[ModelOutput]>::is_empty")]
    model_outputs: &'a [ModelOutput],
}

#[derive(Debug, Serialize)]
struct WireDatasetInput<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<WireTag<'a>>,
    dataset: WireDataset<'a>,
}

#[derive(Debug, Serialize)]
struct WireDataset<'a> {
    name: &'a str,
    digest: &'a str,
    source_type: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "is_none")]
    profile: Option<&'a str>,
}

impl<'a> From<&'a DatasetInput> for WireDatasetInput<'a> {
    fn from(DatasetInput { tags: labels, dataset }: &'a DatasetInput) -> Self {
        Self {
            tags: tags(labels),
            dataset: WireDataset {
                name: &dataset.name,
                digest: &dataset.digest,
                source_type: &dataset.source_type,
                source: &dataset.source,
                schema: dataset.schema.as_deref(),
                profile: dataset.profile.as_deref(),
            },
        }
    }
}

impl<'a> From<&'a Run> for WireRun<'a> {
    fn from(run: &'a Run) -> Self {
        let model_inputs = run.inputs.models.iter().map(|model_id| WireModelInput { model_id }).collect();
        Self {
            info: (&run.info).into(),
            data: WireRunData {
                metrics: run.data.metrics.iter().map(Into::into).collect(),
                params: params(&run.data.params),
                tags: tags(&run.data.tags),
            },
            inputs: WireRunInputs {
                dataset_inputs: run.inputs.datasets.iter().map(Into::into).collect(),
                model_inputs,
            },
            outputs: WireRunOutputs { model_outputs: &run.outputs },
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct WireDatasetSummary<'a> {
    experiment_id: &'a str,
    name: &'a str,
    digest: &'a str,
    #[serde(skip_serializing_if = "is_none")]
    context: Option<&'a str>,
}

impl<'a> From<&'a DatasetSummary> for WireDatasetSummary<'a> {
    fn from(summary: &'a DatasetSummary) -> Self {
        Self {
            experiment_id: &summary.experiment_id,
            name: &summary.name,
            digest: &summary.digest,
            context: summary.context.as_deref(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct WireLoggedModel<'a> {
    info: WireLoggedModelInfo<'a>,
    data: WireLoggedModelData<'a>,
}

#[derive(Debug, Serialize)]
struct WireLoggedModelInfo<'a> {
    model_id: &'a str,
    experiment_id: &'a str,
    name: &'a str,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: &'a str,
    status: LoggedModelStatus,
    #[serde(skip_serializing_if = "is_none")]
    model_type: Option<&'a str>,
    #[serde(skip_serializing_if = "is_none")]
    source_run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<WireTag<'a>>,
}

#[derive(Debug, Serialize)]
struct WireLoggedModelData<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<WireTag<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<WireMetric<'a>>,
}

impl<'a> From<&'a LoggedModel> for WireLoggedModel<'a> {
    fn from(model: &'a LoggedModel) -> Self {
        let metrics = model.metrics.iter().map(|measured| {
            let dataset = measured.dataset.as_ref();
            WireMetric {
                dataset_name: dataset.map(|(name, _)| name.as_str()),
                dataset_digest: dataset.map(|(_, digest)| digest.as_str()),
                model_id: Some(&model.model_id),
                ..WireMetric::of_run(&measured.metric, &measured.run_id)
            }
        });
        Self {
            info: WireLoggedModelInfo {
                model_id: &model.model_id,
                experiment_id: &model.experiment_id,
                name: &model.name,
                creation_timestamp_ms: model.creation_timestamp_ms,
                last_updated_timestamp_ms: model.last_updated_timestamp_ms,
                artifact_uri: &model.artifact_uri,
                status: model.status,
                model_type: model.model_type.as_deref(),
                source_run_id: model.source_run_id.as_deref(),
                tags: tags(&model.tags),
            },
            data: WireLoggedModelData { params: params(&model.params), metrics: metrics.collect() },
        }
    }
}

/// A file or folder of a listing.
#[derive(Debug, Serialize)]
pub(crate) struct WireFile {
    pub(crate) path: String,
    pub(crate) is_dir: bool,
    #[serde(skip_serializing_if = "is_none")]
    pub(crate) file_size: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_mlflow_writes_them() {
        let metric = |value| Metric { key: "m".into(), value, timestamp: 2, step: 1, axis: Axis::Step };
        let text = |value| serde_json::to_string(&WireMetric::from(&metric(value))).unwrap();
        assert_eq!(text(1.0), r#"{"key":"m","value":1.0,"timestamp":2,"step":1}"#);
        assert!(text(f64::NAN).contains(r#""value":"NaN""#));
        assert!(text(f64::NEG_INFINITY).contains(r#""value":-1.7976931348623157e+308"#));
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("", 0), "");
    }
}
