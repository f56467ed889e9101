//! The trait behind which every tracking store stands, and the requests it takes.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::{
    Experiment, LineageStore, Metric, ModelRegistry, Param, RemoteArtifacts, Run, RunInfo, RunStatus, Tag,
    TrackingError, ViewType,
};

/// A place where experiments and runs are kept. All calls block until the store has answered.
///
/// Each writing call is one transaction: it happens as a whole or not at all, and what it wrote survives the death of the
/// process once the call has returned. Any number of threads and processes may use the same store at once.
///
/// # Errors
/// Every method fails with a [`TrackingError`] whose [`kind`](TrackingError::kind) tells a wrong request from a store
/// that cannot answer now. The `conformance` module (feature of the same name) states the rules as tests.
pub trait TrackingStore: Debug + Send + Sync {
    /// The URI that this store was opened with, without secrets.
    fn uri(&self) -> &str;

    /// What hands artifacts below `mlflow-artifacts:` through; only a tracking server does.
    fn artifact_proxy(&self) -> Option<RemoteArtifacts> {
        None
    }

    /// Creates an experiment and returns it. A deleted experiment's name stays taken.
    fn create_experiment(&self, new: &NewExperiment) -> Result<Experiment, TrackingError>;
    /// The experiment with this id, deleted or not.
    fn experiment(&self, experiment_id: &str) -> Result<Experiment, TrackingError>;
    /// The experiment with this name, deleted or not.
    fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError>;
    /// Experiments that match, page by page; without an order the newest first.
    fn search_experiments(&self, search: &SearchExperiments) -> Result<Page<Experiment>, TrackingError>;
    /// Gives an active experiment another name.
    fn rename_experiment(&self, experiment_id: &str, name: &str) -> Result<(), TrackingError>;
    /// Hides an experiment and its runs.
    fn delete_experiment(&self, experiment_id: &str) -> Result<(), TrackingError>;
    /// Brings back a deleted experiment, and those of its runs that were deleted with it.
    fn restore_experiment(&self, experiment_id: &str) -> Result<(), TrackingError>;
    /// Sets a tag of an active experiment.
    fn set_experiment_tag(&self, experiment_id: &str, tag: &Tag) -> Result<(), TrackingError>;
    /// Removes a tag of an active experiment; an absent one is an error.
    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<(), TrackingError>;
    /// Removes a deleted experiment and its runs for good, artifacts excepted.
    fn purge_experiment(&self, experiment_id: &str) -> Result<(), TrackingError>;

    /// Creates a run in an active experiment and returns it.
    fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError>;
    /// The run with this id, deleted or not, with the latest point of each metric.
    fn run(&self, run_id: &str) -> Result<Run, TrackingError>;
    /// Changes status, end or name of an active run.
    fn update_run(&self, run_id: &str, update: &RunUpdate) -> Result<RunInfo, TrackingError>;
    /// Hides a run.
    fn delete_run(&self, run_id: &str) -> Result<(), TrackingError>;
    /// Brings back a deleted run.
    fn restore_run(&self, run_id: &str) -> Result<(), TrackingError>;
    /// Removes a deleted run for good, artifacts excepted.
    fn purge_run(&self, run_id: &str) -> Result<(), TrackingError>;
    /// Runs that match, page by page.
    fn search_runs(&self, search: &SearchRuns) -> Result<Page<Run>, TrackingError>;

    /// Writes metrics, params and tags of an active run in one transaction. An identical point is stored once.
    fn log_batch(&self, run_id: &str, batch: &RunBatch) -> Result<(), TrackingError>;
    /// Removes a tag of an active run; an absent one is an error.
    fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError>;
    /// All points of one metric, by step, then time, page by page; none for an unknown key.
    fn metric_history(&self, query: &HistoryQuery) -> Result<Page<Metric>, TrackingError>;

    /// Sequence number of the last record that this journal has delivered for this run; 0 before the first.
    fn journal_position(&self, run_id: &str, journal_id: &str) -> Result<u64, TrackingError>;
    /// Writes records of a journal and moves its position, in one transaction; refused with
    /// [`TrackingError::JournalOrder`] unless the position is the one that the records follow, so that none counts twice.
    fn log_journal(&self, run_id: &str, records: &JournalBatch) -> Result<(), TrackingError>;
}

/// All that a store offers: runs, lineage, model registry. [`open`](crate::open) makes one.
pub trait Store: TrackingStore + LineageStore + ModelRegistry {}

impl<T: TrackingStore + LineageStore + ModelRegistry> Store for T {}

/// What a new experiment is given.
#[derive(Debug, Clone, Default)]
pub struct NewExperiment {
    /// 1 to 500 characters.
    pub name: String,
    /// Where its runs keep their artifacts; `None` for a folder below the store's own artifact root.
    pub artifact_location: Option<String>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// What a new run is given.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    /// The experiment it belongs to.
    pub experiment_id: String,
    /// `None` for the tag `mlflow.runName`, or a made-up name.
    pub run_name: Option<String>,
    /// Who starts it.
    pub user_id: String,
    /// Milliseconds since 1970; `None` for now.
    pub start_time: Option<i64>,
    /// Where it begins its life.
    pub status: RunStatus,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Changes of a run; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct RunUpdate {
    /// The new status.
    pub status: Option<RunStatus>,
    /// Milliseconds since 1970.
    pub end_time: Option<i64>,
    /// The new name.
    pub run_name: Option<String>,
}

/// Metrics, params and tags to be written together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunBatch {
    /// At most 1000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Those points of `metrics` that were measured on a logged model, once more, for that model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_metrics: Vec<ModelMetric>,
}

/// A metric point, and the logged model that it was measured on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelMetric {
    /// The logged model.
    pub model_id: String,
    /// The point.
    pub metric: Metric,
    /// What it was measured on: name and digest of a dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<(String, String)>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFinish {
    /// The last status.
    pub status: RunStatus,
    /// Milliseconds since 1970.
    pub end_time: i64,
}

/// Consecutive records of a run's journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalBatch {
    /// The journal's own id, 32 hexadecimal digits.
    pub journal_id: String,
    /// Position that the journal has to have in the store: sequence number of the last record before these, 0 for none.
    pub after: u64,
    /// Position that it has then: sequence number of the last of these records, larger than `after`.
    pub last: u64,
    /// What the records hold, within a batch's limits.
    pub batch: RunBatch,
    /// The end of the run, where the last record is that.
    pub finish: Option<RunFinish>,
}

/// Which runs to find.
#[derive(Debug, Clone, Default)]
pub struct SearchRuns {
    /// The experiments to look at; none finds nothing.
    pub experiment_ids: Vec<String>,
    /// MLflow's filter language; empty for all runs.
    pub filter: String,
    /// Deleted runs or not.
    pub view: ViewType,
    /// `key [ASC|DESC]` each; what lacks the key and NaN come last; then the newest first.
    pub order_by: Vec<String>,
    /// Most runs of one page, 1 to 50,000; `None` for 1000.
    pub max_results: Option<usize>,
    /// `next_page_token` of the page before, with the same filter and order.
    pub page_token: Option<String>,
}

/// Which experiments to find.
#[derive(Debug, Clone, Default)]
pub struct SearchExperiments {
    /// MLflow's filter language over `name`, `creation_time`, `last_update_time` and `tags`; empty for all.
    pub filter: String,
    /// Deleted experiments or not.
    pub view: ViewType,
    /// `key [ASC|DESC]` each; then the newest first.
    pub order_by: Vec<String>,
    /// Most experiments of one page, 1 to 50,000; `None` for 1000.
    pub max_results: Option<usize>,
    /// `next_page_token` of the page before, with the same filter and order.
    pub page_token: Option<String>,
}

/// Which points of a metric to read.
#[derive(Debug, Clone, Default)]
pub struct HistoryQuery {
    /// The run.
    pub run_id: String,
    /// The metric.
    pub key: String,
    /// Most points of one page, 1 to 25,000; `None` for 25,000.
    pub max_results: Option<usize>,
    /// `next_page_token` of the page before.
    pub page_token: Option<String>,
}

/// One page of results.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The results.
    pub items: Vec<T>,
    /// Asks for the next page; `None` on the last.
    pub next_page_token: Option<String>,
}
