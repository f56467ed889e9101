//! Experiments, runs, metrics, params and tags behind the [`TrackingStore`] trait, lineage and a model registry beside them; SQLite is the default store.
//!
//! The entities and their rules are MLflow's (<https://mlflow.org/docs/latest/rest-api.html>), so that what is stored
//! here can be served to MLflow's clients; to them Fulmen adds the [`Axis`] of a metric point and a journal.
//!
//! - [`open`] makes a store from a tracking URI such as `sqlite:///fulmen.db`;
//! - [`RunRecorder`] is what a training run writes to: a local journal first, the store in the background;
//! - [`sync`] delivers the journal that a killed process left behind;
//! - [`compare`] and [`gc`] serve the commands of the same names.
//!
//! The crate knows nothing of training and links no libtorch.
//!
//! ```
//! use fulmen_tracking::{Metric, NewRun, Param, RunRecorder, RunStatus, SearchRuns, open};
//!
//! # let folder = tempfile::tempdir()?;
//! # let uri = format!("sqlite:///{}/fulmen.db", folder.path().display());
//! # let journal = folder.path().join("run.journal");
//! let store = open(&uri)?; // such as sqlite:///fulmen.db
//! let run = store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() })?;
//!
//! let recorder = RunRecorder::start(store.clone(), &journal, &run.info.run_id)?;
//! recorder.log_params(&[Param::new("lr", "0.1")])?;
//! for step in 0..3 {
//!     recorder.log_metrics(&[Metric::at_step("train/loss", 1.0 / (step + 1) as f64, step)])?;
//! }
//! assert_eq!(recorder.finish(RunStatus::Finished)?.pending, 0);
//!
//! let search = SearchRuns {
//!     experiment_ids: vec!["0".into()],
//!     filter: "metrics.\"train/loss\" < 0.5 and params.lr = '0.1'".into(),
//!     ..SearchRuns::default()
//! };
//! assert_eq!(store.search_runs(&search)?.items[0].info.status, RunStatus::Finished);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes))]

mod compare;
#[cfg(feature = "conformance")]
pub mod conformance;
mod entities;
mod error;
mod filter;
mod gc;
mod journal;
mod limits;
mod lineage;
mod mongo;
mod number;
mod page_token;
mod postgres;
mod recorder;
mod registry;
mod remote;
mod run_name;
mod sql;
mod sqlite;
mod store;
mod uri;

pub use compare::{Comparison, Difference, compare, differences, differences_of_metrics};
pub use entities::{
    Experiment, LifecycleStage, Metric, Param, Run, RunData, RunInfo, RunStatus, Tag, ViewType, now_ms,
};
pub use error::{ErrorKind, TrackingError};
pub use filter::FilterError;
pub use fulmen_contracts::Axis;
pub use gc::{GcReport, gc};
pub use journal::JournalError;
pub use limits::{
    MAX_ALIAS, MAX_BATCH_METRICS, MAX_BATCH_PARAMS, MAX_BATCH_TAGS, MAX_EXPERIMENT_NAME,
    MAX_EXPERIMENT_TAG_VALUE, MAX_KEY, MAX_MODEL_NAME, MAX_PARAM_VALUE, MAX_REGISTRY_TAG_VALUE,
    MAX_TAG_VALUE,
};
pub use lineage::{
    Dataset, DatasetInput, DatasetSummary, LineageStore, LoggedModel, LoggedModelMetric, LoggedModelOrder,
    LoggedModelStatus, ModelOutput, NewLoggedModel, RunInputs, SearchLoggedModels,
};
pub use mongo::{MongoError, MongoStore};
pub use postgres::{PostgresError, PostgresStore};
pub use recorder::{DeliveryReport, RecorderOptions, Refusal, RunRecorder, sync};
pub use registry::{
    ModelAlias, ModelRegistry, ModelVersion, NewModelVersion, NewRegisteredModel, RegisteredModel,
    SearchRegistry, Stage,
};
pub use remote::{RemoteArtifacts, RemoteError, RemoteFile, RemoteStore};
pub use sqlite::{DatabaseError, SqliteStore};
pub use store::{
    HistoryQuery, JournalBatch, ModelMetric, NewExperiment, NewRun, Page, RunBatch, RunFinish, RunUpdate,
    SearchExperiments, SearchRuns, Store, TrackingStore,
};
pub use uri::{UriError, artifact_root, open, open_with_artifact_root};
