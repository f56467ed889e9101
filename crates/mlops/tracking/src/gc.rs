//! Garbage collection: what was deleted goes for good, rows and artifacts.

use std::{path::PathBuf, time::Duration};

use fulmen_storage::ArtifactStore;

use crate::{Run, RunInfo, SearchExperiments, SearchRuns, TrackingError, TrackingStore, ViewType, now_ms};

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Ids of the runs removed.
    pub runs: Vec<String>,
    /// Ids of the experiments removed.
    pub experiments: Vec<String>,
    /// Artifact URIs that are no local folders, and have to be removed by other means.
    pub remote_artifacts: Vec<String>,
}

/// Removes for good the runs that were deleted more than `older_than` ago, with their folders, and the deleted
/// experiments that have no run left and have not changed for as long.
///
/// Artifacts go first: if their folder cannot be removed, the run stays, and the next collection tries again.
///
/// # Errors
/// The first failure of the store or of the file system; what was removed before stays removed.
pub fn gc(store: &dyn TrackingStore, older_than: Duration) -> Result<GcReport, TrackingError> {
    let oldest_kept = now_ms().saturating_sub(i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX));
    let mut report = GcReport::default();
    for experiment in all_experiments(store)? {
        let experiment_id = &experiment.experiment_id;
        for run in all_runs(store, experiment_id, ViewType::DeletedOnly)? {
            if run.info.deleted_time.is_some_and(|time| time <= oldest_kept) {
                remove_artifacts(&run.info, &mut report)?;
                store.purge_run(&run.info.run_id)?;
                report.runs.push(run.info.run_id);
            }
        }
        let is_deleted = experiment.lifecycle_stage == crate::LifecycleStage::Deleted;
        if is_deleted
            && experiment.last_update_time <= oldest_kept
            && all_runs(store, experiment_id, ViewType::All)?.is_empty()
        {
            store.purge_experiment(experiment_id)?;
            report.experiments.push(experiment_id.clone());
        }
    }
    Ok(report)
}

fn remove_artifacts(run: &RunInfo, report: &mut GcReport) -> Result<(), TrackingError> {
    let Some(folder) = local_folder(&run.artifact_uri) else {
        report.remote_artifacts.push(run.artifact_uri.clone());
        return Ok(());
    };
    // The folder above the artifacts, which also holds the run's logs; and only if it is the run's own by its name: a
    // location given by hand must not cost anybody else's files.
    let run_folder =
        folder.parent().filter(|parent| folder.ends_with("artifacts") && parent.ends_with(&run.run_id));
    if let Some(run_folder) = run_folder {
        ArtifactStore::new(run_folder).delete_all()?;
    }
    Ok(())
}

/// The folder that an artifact URI names, if it names one of this machine.
fn local_folder(uri: &str) -> Option<PathBuf> {
    match uri.split_once(':') {
        None => Some(PathBuf::from(uri)),
        Some(("file", rest)) => Some(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest))),
        Some(_) => None,
    }
}

fn all_experiments(store: &dyn TrackingStore) -> Result<Vec<crate::Experiment>, TrackingError> {
    let mut search = SearchExperiments { view: ViewType::All, ..SearchExperiments::default() };
    let mut all = Vec::new();
    loop {
        let page = store.search_experiments(&search)?;
        all.extend(page.items);
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            return Ok(all);
        }
    }
}

fn all_runs(
    store: &dyn TrackingStore,
    experiment_id: &str,
    view: ViewType,
) -> Result<Vec<Run>, TrackingError> {
    let mut search =
        SearchRuns { experiment_ids: vec![experiment_id.to_owned()], view, ..SearchRuns::default() };
    let mut all = Vec::new();
    loop {
        let page = store.search_runs(&search)?;
        all.extend(page.items);
        search.page_token = page.next_page_token;
        if search.page_token.is_none() {
            return Ok(all);
        }
    }
}
