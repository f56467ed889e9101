//! What a run was given and what it made: datasets, and logged models (MLflow 3's models that exist without a registry).

use serde::{Deserialize, Serialize};

use crate::{Metric, Page, Param, Tag, TrackingError, ViewType};

/// The tag of an input that says what it was used for, such as `training`.
pub(crate) const CONTEXT_TAG: &str = "mlflow.data.context";
/// MLflow's limit on the datasets that one call lists.
pub(crate) const MOST_SUMMARIES: usize = 1000;

/// A store's record of inputs, outputs and logged models. Each writing call is one transaction.
///
/// # Errors
/// Every method fails with a [`TrackingError`]; its [`kind`](TrackingError::kind) tells a wrong request from a store that
/// cannot answer now.
pub trait LineageStore: Send + Sync {
    /// Adds datasets and models that an active run reads; what it has already (by name and digest, by id) stays as it is.
    fn log_inputs(&self, run_id: &str, inputs: &RunInputs) -> Result<(), TrackingError>;
    /// Adds models that an active run has made.
    fn log_outputs(&self, run_id: &str, models: &[ModelOutput]) -> Result<(), TrackingError>;
    /// The datasets that the runs of these experiments read, each (experiment, name, digest, context) once.
    fn search_datasets(&self, experiment_ids: &[String]) -> Result<Vec<DatasetSummary>, TrackingError>;

    /// Creates a logged model, pending, and returns it.
    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel, TrackingError>;
    /// The logged model with this id, unless it is deleted, with the latest point of each metric that names it.
    fn logged_model(&self, model_id: &str) -> Result<LoggedModel, TrackingError>;
    /// Sets its status, as after an upload.
    fn finalize_logged_model(
        &self,
        model_id: &str,
        status: LoggedModelStatus,
    ) -> Result<LoggedModel, TrackingError>;
    /// Hides it.
    fn delete_logged_model(&self, model_id: &str) -> Result<(), TrackingError>;
    /// Adds params; like a run's they never change, and the same value again is fine.
    fn log_logged_model_params(&self, model_id: &str, params: &[Param]) -> Result<(), TrackingError>;
    /// Sets tags.
    fn set_logged_model_tags(&self, model_id: &str, tags: &[Tag]) -> Result<(), TrackingError>;
    /// Removes a tag; an absent one is an error.
    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<(), TrackingError>;
    /// Logged models that match, page by page; without an order the newest first.
    fn search_logged_models(&self, search: &SearchLoggedModels) -> Result<Page<LoggedModel>, TrackingError>;
}

/// What a run was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInputs {
    /// Datasets.
    pub datasets: Vec<DatasetInput>,
    /// Ids of logged models.
    pub models: Vec<String>,
}

/// A dataset, and what the run used it for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInput {
    /// Such as `mlflow.data.context` = `training`; sorted by key.
    pub tags: Vec<Tag>,
    /// The dataset.
    pub dataset: Dataset,
}

/// A dataset as MLflow describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// 1 to 500 characters.
    pub name: String,
    /// At most 36 characters; with the name it tells one dataset from another.
    pub digest: String,
    /// Such as `local` or `s3`.
    pub source_type: String,
    /// Where it comes from, mostly JSON.
    pub source: String,
    /// Its columns, as JSON.
    pub schema: Option<String>,
    /// Its size, as JSON.
    pub profile: Option<String>,
}

/// A dataset of an experiment's runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment_id: String,
    /// The dataset's name.
    pub name: String,
    /// The dataset's digest.
    pub digest: String,
    /// The tag `mlflow.data.context`.
    pub context: Option<String>,
}

/// A model that a run has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOutput {
    /// The logged model.
    pub model_id: String,
    /// The step it was made at.
    pub step: i64,
}

/// A logged model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedModel {
    /// `m-` and 32 hexadecimal digits.
    pub model_id: String,
    /// The experiment it belongs to.
    pub experiment_id: String,
    /// Need not be unique.
    pub name: String,
    /// Path or URI of its files.
    pub artifact_uri: String,
    /// Milliseconds since 1970.
    pub creation_timestamp_ms: i64,
    /// Milliseconds since 1970.
    pub last_updated_timestamp_ms: i64,
    /// How far it is.
    pub status: LoggedModelStatus,
    /// Such as `Agent`; free text.
    pub model_type: Option<String>,
    /// The run that made it.
    pub source_run_id: Option<String>,
    /// Sorted by key.
    pub tags: Vec<Tag>,
    /// Sorted by key.
    pub params: Vec<Param>,
    /// The latest point of each metric that names this model, by key and dataset.
    pub metrics: Vec<LoggedModelMetric>,
}

/// A metric point that was measured on a logged model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedModelMetric {
    /// The point.
    pub metric: Metric,
    /// The run that measured it.
    pub run_id: String,
    /// What it was measured on: name and digest.
    pub dataset: Option<(String, String)>,
}

/// How far a logged model is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoggedModelStatus {
    /// Being uploaded.
    #[default]
    #[serde(rename = "LOGGED_MODEL_PENDING")]
    Pending,
    /// Whole.
    #[serde(rename = "LOGGED_MODEL_READY")]
    Ready,
    /// The upload failed.
    #[serde(rename = "LOGGED_MODEL_UPLOAD_FAILED")]
    UploadFailed,
}

impl LoggedModelStatus {
    /// The word that filters have for it, and databases.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Ready => "READY",
            Self::UploadFailed => "FAILED",
        }
    }

    pub(crate) fn from_word(word: &str) -> Result<Self, TrackingError> {
        let all = [Self::Pending, Self::Ready, Self::UploadFailed];
        let found = all.into_iter().find(|status| status.word() == word);
        let reason = "it is not one of PENDING, READY, FAILED";
        found.ok_or_else(|| crate::limits::invalid("status of a logged model", word, reason))
    }
}

/// What a new logged model is given.
#[derive(Debug, Clone, Default)]
pub struct NewLoggedModel {
    /// The experiment it belongs to.
    pub experiment_id: String,
    /// `None` for a made-up name.
    pub name: Option<String>,
    /// Such as `Agent`; free text.
    pub model_type: Option<String>,
    /// The run that makes it.
    pub source_run_id: Option<String>,
    /// Params.
    pub params: Vec<Param>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Which logged models to find.
#[derive(Debug, Clone, Default)]
pub struct SearchLoggedModels {
    /// The experiments to look at; none finds nothing.
    pub experiment_ids: Vec<String>,
    /// MLflow's filter language over metrics, params, tags and attributes such as `name`; empty for all.
    pub filter: String,
    /// Only models with metrics on one of these datasets, by name and perhaps digest; none for all models.
    pub datasets: Vec<(String, Option<String>)>,
    /// Deleted ones or not.
    pub view: ViewType,
    /// Field or `metrics.<key>` each, with its direction.
    pub order_by: Vec<LoggedModelOrder>,
    /// Most results of one page; `None` for 100.
    pub max_results: Option<usize>,
    /// `next_page_token` of the page before, with the same filter and order.
    pub page_token: Option<String>,
}

/// One key of an order of logged models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedModelOrder {
    /// A field such as `creation_timestamp`, or `metrics.<key>`.
    pub field: String,
    /// Upwards.
    pub ascending: bool,
    /// Only what was measured on the dataset of this name counts, where the field is a metric.
    pub dataset_name: Option<String>,
    /// The same for the dataset's digest.
    pub dataset_digest: Option<String>,
}
