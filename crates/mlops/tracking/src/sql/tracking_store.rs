//! [`TrackingStore`] over a SQL database.

use super::{Database, experiments, journal_position, log, runs, search};
use crate::{
    Experiment, HistoryQuery, JournalBatch, Metric, NewExperiment, NewRun, Page, Run, RunBatch, RunInfo,
    RunUpdate, SearchExperiments, SearchRuns, Tag, TrackingError, TrackingStore, limits,
};

impl<D: Database> TrackingStore for D {
    fn uri(&self) -> &str {
        Database::uri(self)
    }

    fn create_experiment(&self, new: &NewExperiment) -> Result<Experiment, TrackingError> {
        limits::check_experiment_name(&new.name)?;
        new.artifact_location.as_deref().map_or(Ok(()), limits::check_artifact_location)?;
        new.tags.iter().try_for_each(limits::check_experiment_tag)?;
        self.write(|session| experiments::create(session, new))
    }

    fn experiment(&self, experiment_id: &str) -> Result<Experiment, TrackingError> {
        self.read(|session| experiments::get(session, experiment_id))
    }

    fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        self.read(|session| experiments::find(session, name))
    }

    fn search_experiments(&self, search: &SearchExperiments) -> Result<Page<Experiment>, TrackingError> {
        let prepared = search::prepare_experiments(search)?;
        self.read(|session| search::experiments(session, &prepared, search.view))
    }

    fn rename_experiment(&self, experiment_id: &str, name: &str) -> Result<(), TrackingError> {
        limits::check_experiment_name(name)?;
        self.write(|session| experiments::rename(session, experiment_id, name))
    }

    fn delete_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.write(|session| experiments::delete(session, experiment_id))
    }

    fn restore_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.write(|session| experiments::restore(session, experiment_id))
    }

    fn set_experiment_tag(&self, experiment_id: &str, tag: &Tag) -> Result<(), TrackingError> {
        limits::check_experiment_tag(tag)?;
        self.write(|session| experiments::set_tag(session, experiment_id, tag))
    }

    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<(), TrackingError> {
        self.write(|session| experiments::delete_tag(session, experiment_id, key))
    }

    fn purge_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.write(|session| experiments::purge(session, experiment_id))
    }

    fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError> {
        limits::check_tags(&new.tags)?;
        let name = crate::run_name::of_new_run(new)?;
        self.write(|session| runs::create(session, new, &name))
    }

    fn run(&self, run_id: &str) -> Result<Run, TrackingError> {
        self.read(|session| runs::get(session, run_id))
    }

    fn update_run(&self, run_id: &str, update: &RunUpdate) -> Result<RunInfo, TrackingError> {
        if let Some(name) = &update.run_name {
            limits::check_tags(&[Tag::new(crate::run_name::TAG, name.as_str())])?;
        }
        self.write(|session| runs::update(session, run_id, update))
    }

    fn delete_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.write(|session| runs::delete(session, run_id))
    }

    fn restore_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.write(|session| runs::restore(session, run_id))
    }

    fn purge_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.write(|session| runs::purge(session, run_id))
    }

    fn search_runs(&self, search: &SearchRuns) -> Result<Page<Run>, TrackingError> {
        let prepared = search::prepare_runs(search)?;
        self.read(|session| search::runs(session, &prepared, &search.experiment_ids, search.view))
    }

    fn log_batch(&self, run_id: &str, batch: &RunBatch) -> Result<(), TrackingError> {
        limits::check_batch(batch)?;
        self.write(|session| log::batch(session, run_id, batch))
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        self.write(|session| log::delete_tag(session, run_id, key))
    }

    fn metric_history(&self, query: &HistoryQuery) -> Result<Page<Metric>, TrackingError> {
        let query = search::prepare_history(query)?;
        self.read(|session| search::history(session, &query))
    }

    fn journal_position(&self, run_id: &str, journal_id: &str) -> Result<u64, TrackingError> {
        self.read(|session| journal_position::get(session, run_id, journal_id))
    }

    fn log_journal(&self, run_id: &str, records: &JournalBatch) -> Result<(), TrackingError> {
        limits::check_batch(&records.batch)?;
        self.write(|session| journal_position::log(session, run_id, records))
    }
}
