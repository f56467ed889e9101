//! [`TrackingStore`] over an MLflow server: experiments pass through, runs are here.

use serde::Deserialize;
use serde_json::json;

use super::{
    RemoteStore,
    client::Again,
    our_token, servers_token, tags_json,
    wire::{self, MetricWire, Nothing, RunInfoWire, RunWire},
};
use crate::{
    ErrorKind, Experiment, HistoryQuery, JournalBatch, Metric, NewExperiment, NewRun, Page, Run, RunBatch,
    RunInfo, RunStatus, RunUpdate, SearchExperiments, SearchRuns, Tag, TrackingError, TrackingStore,
    limits::{self, invalid},
    run_name,
};

/// Results of a page unless it is asked otherwise.
const USUAL_PAGE: usize = 1000;
/// MLflow's largest page of runs.
const LARGEST_PAGE: usize = 50_000;
/// MLflow's largest page of a history.
const LARGEST_HISTORY_PAGE: usize = 25_000;

#[derive(Debug, Deserialize)]
struct Found {
    run: RunWire,
}

impl RemoteStore {
    /// A run as the server tells it.
    pub(super) fn find_run(&self, run_id: &str) -> Result<RunWire, TrackingError> {
        let not_found = || self.not_found("run", run_id);
        if run_id.is_empty() {
            return Err(not_found());
        }
        match self.client.get::<Found>("runs/get", &[("run_id", run_id)]) {
            Ok(found) => Ok(found.run),
            Err(error) => match error.kind() {
                // An id of another form names nothing.
                ErrorKind::NotFound | ErrorKind::InvalidParameter => Err(not_found()),
                _ => Err(error),
            },
        }
    }

    /// A run that is not deleted.
    pub(super) fn active_run(&self, run_id: &str) -> Result<RunWire, TrackingError> {
        let run = self.find_run(run_id)?;
        if run.is_deleted() {
            return Err(TrackingError::Deleted { what: "run", id: run_id.to_owned() });
        }
        Ok(run)
    }

    /// Says more about a refusal: MLflow calls a deleted run and a missing one wrong parameters.
    pub(super) fn explained(&self, run_id: &str, error: TrackingError) -> TrackingError {
        match error.kind() {
            ErrorKind::InvalidParameter | ErrorKind::NotFound => {
                self.active_run(run_id).err().unwrap_or(error)
            }
            _ => error,
        }
    }
}

impl TrackingStore for RemoteStore {
    fn uri(&self) -> &str {
        self.client.uri()
    }

    fn create_experiment(&self, new: &NewExperiment) -> Result<Experiment, TrackingError> {
        limits::check_experiment_name(&new.name)?;
        new.artifact_location.as_deref().map_or(Ok(()), limits::check_artifact_location)?;
        new.tags.iter().try_for_each(limits::check_experiment_tag)?;
        self.create_experiment_there(new)
    }

    fn experiment(&self, experiment_id: &str) -> Result<Experiment, TrackingError> {
        self.find_experiment(experiment_id)
    }

    fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        self.find_experiment_named(name)
    }

    fn search_experiments(&self, search: &SearchExperiments) -> Result<Page<Experiment>, TrackingError> {
        self.find_experiments(search)
    }

    fn rename_experiment(&self, experiment_id: &str, name: &str) -> Result<(), TrackingError> {
        limits::check_experiment_name(name)?;
        self.rename_experiment_there(experiment_id, name)
    }

    fn delete_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.delete_experiment_there(experiment_id)
    }

    fn restore_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.restore_experiment_there(experiment_id)
    }

    fn set_experiment_tag(&self, experiment_id: &str, tag: &Tag) -> Result<(), TrackingError> {
        limits::check_experiment_tag(tag)?;
        self.set_tag_of_experiment(experiment_id, tag)
    }

    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<(), TrackingError> {
        self.delete_tag_of_experiment(experiment_id, key)
    }

    fn purge_experiment(&self, _experiment_id: &str) -> Result<(), TrackingError> {
        Err(self.unsupported("remove an experiment for good"))
    }

    fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError> {
        limits::check_tags(&new.tags)?;
        let name = run_name::of_new_run(new)?;
        let tags: Vec<Tag> = new.tags.iter().filter(|tag| tag.key != run_name::TAG).cloned().collect();
        let body = json!({
            "experiment_id": new.experiment_id,
            "user_id": new.user_id,
            "run_name": name,
            "start_time": new.start_time.unwrap_or_else(crate::now_ms),
            "tags": tags_json(&tags),
        });
        let created = self.client.post::<Found>("runs/create", &body, Again::IfUnsent);
        let created = created.map_err(|error| match error.kind() {
            ErrorKind::InvalidParameter | ErrorKind::NotFound => {
                self.active_experiment(&new.experiment_id).err().unwrap_or(error)
            }
            _ => error,
        })?;
        let mut run = Run::from(created.run);
        // MLflow's request has no status.
        if new.status != RunStatus::Running {
            let update = RunUpdate { status: Some(new.status), ..RunUpdate::default() };
            run.info = self.update_run(&run.info.run_id, &update)?;
        }
        Ok(run)
    }

    fn run(&self, run_id: &str) -> Result<Run, TrackingError> {
        self.find_run(run_id).map(Run::from)
    }

    fn update_run(&self, run_id: &str, update: &RunUpdate) -> Result<RunInfo, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Updated {
            run_info: RunInfoWire,
        }
        let mut body = json!({ "run_id": run_id });
        if let Some(status) = update.status {
            body["status"] = status.as_str().into();
        } else {
            // Without one, MLflow would take it for RUNNING.
            body["status"] = Run::from(self.active_run(run_id)?).info.status.as_str().into();
        }
        if let Some(time) = update.end_time {
            body["end_time"] = time.into();
        }
        if let Some(name) = &update.run_name {
            limits::check_tags(&[Tag::new(run_name::TAG, name.as_str())])?;
            body["run_name"] = name.as_str().into();
        }
        let updated = self.client.post::<Updated>("runs/update", &body, Again::Harmless);
        updated.map(|updated| updated.run_info.into()).map_err(|error| self.explained(run_id, error))
    }

    fn delete_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.active_run(run_id)?;
        self.client.post::<Nothing>("runs/delete", &json!({ "run_id": run_id }), Again::Harmless).map(drop)
    }

    fn restore_run(&self, run_id: &str) -> Result<(), TrackingError> {
        let run = self.find_run(run_id)?;
        if !run.is_deleted() {
            return Err(invalid("run", run_id, "it is not deleted"));
        }
        self.active_experiment(&Run::from(run).info.experiment_id)?;
        self.client.post::<Nothing>("runs/restore", &json!({ "run_id": run_id }), Again::Harmless).map(drop)
    }

    fn purge_run(&self, _run_id: &str) -> Result<(), TrackingError> {
        Err(self.unsupported("remove a run for good"))
    }

    fn search_runs(&self, search: &SearchRuns) -> Result<Page<Run>, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Found {
            #[serde(default)]
            runs: Vec<RunWire>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let identity = format!(
            "runs {:?} {:?} {:?} {:?}",
            search.experiment_ids, search.filter, search.view, search.order_by
        );
        let size = limits::page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?;
        if search.experiment_ids.is_empty() {
            return Ok(Page { items: Vec::new(), next_page_token: None });
        }
        let mut body = json!({
            "experiment_ids": search.experiment_ids,
            "filter": search.filter,
            "run_view_type": search.view,
            "order_by": search.order_by,
            "max_results": size,
        });
        if let Some(token) = servers_token(&identity, search.page_token.as_deref())? {
            body["page_token"] = token.into();
        }
        let found: Found = self.client.post("runs/search", &body, Again::Harmless)?;
        let items = found.runs.into_iter().map(Run::from).collect();
        Ok(Page { items, next_page_token: our_token(&identity, found.next_page_token) })
    }

    fn log_batch(&self, run_id: &str, batch: &RunBatch) -> Result<(), TrackingError> {
        limits::check_batch(batch)?;
        self.log_there(run_id, batch)
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        if key == run_name::TAG {
            return Err(invalid("tag key", key, "it holds the run's name and can only be changed"));
        }
        let body = json!({ "run_id": run_id, "key": key });
        let deleted = self.client.post::<Nothing>("runs/delete-tag", &body, Again::IfUnsent);
        deleted.map(drop).map_err(|error| self.explained(run_id, error))
    }

    fn metric_history(&self, query: &HistoryQuery) -> Result<Page<Metric>, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Found {
            #[serde(default)]
            metrics: Vec<MetricWire>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let identity = format!("history {:?} {:?}", query.run_id, query.key);
        let size =
            limits::page_size(query.max_results, LARGEST_HISTORY_PAGE, LARGEST_HISTORY_PAGE)?.to_string();
        let token = servers_token(&identity, query.page_token.as_deref())?;
        let axes = wire::axes(self.find_run(&query.run_id)?.tags());
        let mut parameters = vec![
            ("run_id", query.run_id.as_str()),
            ("metric_key", query.key.as_str()),
            ("max_results", &size),
        ];
        parameters.extend(token.as_deref().map(|token| ("page_token", token)));
        let found: Found = self.client.get("metrics/get-history", &parameters)?;
        let mut items: Vec<Metric> =
            found.metrics.into_iter().map(|metric| metric.into_metric(&axes)).collect();
        // MLflow orders by time first.
        items.sort_by_key(|metric| (metric.step, metric.timestamp));
        Ok(Page { items, next_page_token: our_token(&identity, found.next_page_token) })
    }

    fn journal_position(&self, run_id: &str, journal_id: &str) -> Result<u64, TrackingError> {
        self.ask_position(run_id, journal_id)
    }

    fn log_journal(&self, run_id: &str, records: &JournalBatch) -> Result<(), TrackingError> {
        limits::check_batch(&records.batch)?;
        self.log_records(run_id, records)
    }
}
