//! The traits of a store over MongoDB: the rules that need no database first, then the work.

use super::{MongoStore, experiments, runs};
use crate::{
    DatasetSummary, Experiment, HistoryQuery, JournalBatch, LineageStore, LoggedModel, LoggedModelStatus,
    Metric, ModelOutput, ModelRegistry, ModelVersion, NewExperiment, NewLoggedModel, NewModelVersion,
    NewRegisteredModel, NewRun, Page, Param, RegisteredModel, Run, RunBatch, RunInfo, RunInputs, RunUpdate,
    SearchExperiments, SearchLoggedModels, SearchRegistry, SearchRuns, Stage, Tag, TrackingError,
    TrackingStore, limits, run_name,
};

impl TrackingStore for MongoStore {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn create_experiment(&self, new: &NewExperiment) -> Result<Experiment, TrackingError> {
        limits::check_experiment_name(&new.name)?;
        new.artifact_location.as_deref().map_or(Ok(()), limits::check_artifact_location)?;
        new.tags.iter().try_for_each(limits::check_experiment_tag)?;
        self.create_experiment_document(new)
    }

    fn experiment(&self, experiment_id: &str) -> Result<Experiment, TrackingError> {
        self.experiment_document(experiment_id).map(experiments::read)
    }

    fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        Ok(self.experiment_named(name)?.map(experiments::read))
    }

    fn search_experiments(&self, search: &SearchExperiments) -> Result<Page<Experiment>, TrackingError> {
        self.find_experiments(search)
    }

    fn rename_experiment(&self, experiment_id: &str, name: &str) -> Result<(), TrackingError> {
        limits::check_experiment_name(name)?;
        self.rename_experiment_document(experiment_id, name)
    }

    fn delete_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.delete_experiment_document(experiment_id)
    }

    fn restore_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.restore_experiment_document(experiment_id)
    }

    fn set_experiment_tag(&self, experiment_id: &str, tag: &Tag) -> Result<(), TrackingError> {
        limits::check_experiment_tag(tag)?;
        self.set_tag_of_experiment(experiment_id, tag)
    }

    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<(), TrackingError> {
        self.delete_tag_of_experiment(experiment_id, key)
    }

    fn purge_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.purge_experiment_document(experiment_id)
    }

    fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError> {
        limits::check_tags(&new.tags)?;
        let name = run_name::of_new_run(new)?;
        self.create_run_document(new, &name)
    }

    fn run(&self, run_id: &str) -> Result<Run, TrackingError> {
        let run = self.read_runs(vec![self.run_document(run_id)?])?.pop();
        run.ok_or_else(|| self.not_found("run", run_id))
    }

    fn update_run(&self, run_id: &str, update: &RunUpdate) -> Result<RunInfo, TrackingError> {
        if let Some(name) = &update.run_name {
            limits::check_tags(&[Tag::new(run_name::TAG, name.as_str())])?;
        }
        self.update_run_document(run_id, update)
    }

    fn delete_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.delete_run_document(run_id)
    }

    fn restore_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.restore_run_document(run_id)
    }

    fn purge_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.purge_run_document(run_id)
    }

    fn search_runs(&self, search: &SearchRuns) -> Result<Page<Run>, TrackingError> {
        self.find_runs(search)
    }

    fn log_batch(&self, run_id: &str, batch: &RunBatch) -> Result<(), TrackingError> {
        limits::check_batch(batch)?;
        self.log(run_id, batch)
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        self.delete_tag_of_run(run_id, key)
    }

    fn metric_history(&self, query: &HistoryQuery) -> Result<Page<Metric>, TrackingError> {
        self.history_page(query)
    }

    fn journal_position(&self, run_id: &str, journal_id: &str) -> Result<u64, TrackingError> {
        Ok(runs::position(&self.run_document(run_id)?, journal_id))
    }

    fn log_journal(&self, run_id: &str, records: &JournalBatch) -> Result<(), TrackingError> {
        limits::check_batch(&records.batch)?;
        self.log_records(run_id, records)
    }
}

impl LineageStore for MongoStore {
    fn log_inputs(&self, run_id: &str, inputs: &RunInputs) -> Result<(), TrackingError> {
        limits::check_inputs(inputs)?;
        self.log_inputs_of_run(run_id, inputs)
    }

    fn log_outputs(&self, run_id: &str, models: &[ModelOutput]) -> Result<(), TrackingError> {
        self.log_outputs_of_run(run_id, models)
    }

    fn search_datasets(&self, experiment_ids: &[String]) -> Result<Vec<DatasetSummary>, TrackingError> {
        self.dataset_summaries(experiment_ids)
    }

    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel, TrackingError> {
        new.name.as_deref().map_or(Ok(()), limits::check_logged_model_name)?;
        limits::check_params(&new.params)?;
        limits::check_registry_tags(&new.tags)?;
        self.create_logged_model_document(new)
    }

    fn logged_model(&self, model_id: &str) -> Result<LoggedModel, TrackingError> {
        self.find_logged_model(model_id)
    }

    fn finalize_logged_model(
        &self,
        model_id: &str,
        status: LoggedModelStatus,
    ) -> Result<LoggedModel, TrackingError> {
        self.finalize_logged_model_document(model_id, status)
    }

    fn delete_logged_model(&self, model_id: &str) -> Result<(), TrackingError> {
        self.delete_logged_model_document(model_id)
    }

    fn log_logged_model_params(&self, model_id: &str, params: &[Param]) -> Result<(), TrackingError> {
        limits::check_params(params)?;
        self.add_params_of_model(model_id, params)
    }

    fn set_logged_model_tags(&self, model_id: &str, tags: &[Tag]) -> Result<(), TrackingError> {
        limits::check_registry_tags(tags)?;
        self.set_tags_of_model(model_id, tags)
    }

    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<(), TrackingError> {
        self.delete_tag_of_model(model_id, key)
    }

    fn search_logged_models(&self, search: &SearchLoggedModels) -> Result<Page<LoggedModel>, TrackingError> {
        self.find_logged_models(search)
    }
}

impl ModelRegistry for MongoStore {
    fn create_registered_model(&self, new: &NewRegisteredModel) -> Result<RegisteredModel, TrackingError> {
        limits::check_model_name(&new.name)?;
        limits::check_registry_tags(&new.tags)?;
        self.create_model_document(new)
    }

    fn registered_model(&self, name: &str) -> Result<RegisteredModel, TrackingError> {
        self.find_model(name)
    }

    fn rename_registered_model(&self, name: &str, new_name: &str) -> Result<RegisteredModel, TrackingError> {
        limits::check_model_name(new_name)?;
        self.rename_model(name, new_name)
    }

    fn update_registered_model(
        &self,
        name: &str,
        description: &str,
    ) -> Result<RegisteredModel, TrackingError> {
        self.describe_model(name, description)
    }

    fn delete_registered_model(&self, name: &str) -> Result<(), TrackingError> {
        self.delete_model(name)
    }

    fn search_registered_models(
        &self,
        search: &SearchRegistry,
    ) -> Result<Page<RegisteredModel>, TrackingError> {
        self.find_models(search)
    }

    fn set_registered_model_tag(&self, name: &str, tag: &Tag) -> Result<(), TrackingError> {
        limits::check_registry_tags(std::slice::from_ref(tag))?;
        self.set_tag_of_registered_model(name, tag)
    }

    fn delete_registered_model_tag(&self, name: &str, key: &str) -> Result<(), TrackingError> {
        self.delete_tag_of_registered_model(name, key)
    }

    fn set_alias(&self, name: &str, alias: &str, version: u64) -> Result<(), TrackingError> {
        limits::check_new_alias(alias)?;
        self.set_alias_of_version(name, alias, version)
    }

    fn delete_alias(&self, name: &str, alias: &str) -> Result<(), TrackingError> {
        limits::check_alias(alias)?;
        self.delete_alias_of_model(name, alias)
    }

    fn model_version_by_alias(&self, name: &str, alias: &str) -> Result<ModelVersion, TrackingError> {
        limits::check_alias(alias)?;
        self.find_version_by_alias(name, alias)
    }

    fn create_model_version(&self, new: &NewModelVersion) -> Result<ModelVersion, TrackingError> {
        limits::check_registry_tags(&new.tags)?;
        self.create_version(new)
    }

    fn model_version(&self, name: &str, version: u64) -> Result<ModelVersion, TrackingError> {
        self.find_version(name, version)
    }

    fn update_model_version(
        &self,
        name: &str,
        version: u64,
        description: &str,
    ) -> Result<ModelVersion, TrackingError> {
        self.describe_version(name, version, description)
    }

    fn transition_stage(
        &self,
        name: &str,
        version: u64,
        stage: Stage,
        archive_existing: bool,
    ) -> Result<ModelVersion, TrackingError> {
        limits::check_transition(stage, archive_existing)?;
        self.move_version(name, version, stage, archive_existing)
    }

    fn delete_model_version(&self, name: &str, version: u64) -> Result<(), TrackingError> {
        self.delete_version(name, version)
    }

    fn search_model_versions(&self, search: &SearchRegistry) -> Result<Page<ModelVersion>, TrackingError> {
        self.find_versions(search)
    }

    fn latest_versions(&self, name: &str, stages: &[Stage]) -> Result<Vec<ModelVersion>, TrackingError> {
        self.newest_versions(name, stages)
    }

    fn set_model_version_tag(&self, name: &str, version: u64, tag: &Tag) -> Result<(), TrackingError> {
        limits::check_registry_tags(std::slice::from_ref(tag))?;
        self.set_tag_of_version(name, version, tag)
    }

    fn delete_model_version_tag(&self, name: &str, version: u64, key: &str) -> Result<(), TrackingError> {
        self.delete_tag_of_version(name, version, key)
    }
}
