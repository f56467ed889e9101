//! [`LineageStore`] over a SQL database.

use super::{Database, lineage, logged_models};
use crate::{
    DatasetSummary, LineageStore, LoggedModel, LoggedModelStatus, ModelOutput, NewLoggedModel, Page, Param,
    RunInputs, SearchLoggedModels, Tag, TrackingError, limits,
};

impl<D: Database> LineageStore for D {
    fn log_inputs(&self, run_id: &str, inputs: &RunInputs) -> Result<(), TrackingError> {
        limits::check_inputs(inputs)?;
        self.write(|session| lineage::log_inputs(session, run_id, inputs))
    }

    fn log_outputs(&self, run_id: &str, models: &[ModelOutput]) -> Result<(), TrackingError> {
        models.iter().try_for_each(|model| limits::check_id("logged model id", &model.model_id))?;
        self.write(|session| lineage::log_outputs(session, run_id, models))
    }

    fn search_datasets(&self, experiment_ids: &[String]) -> Result<Vec<DatasetSummary>, TrackingError> {
        self.read(|session| lineage::search_datasets(session, experiment_ids))
    }

    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel, TrackingError> {
        new.name.as_deref().map_or(Ok(()), limits::check_logged_model_name)?;
        limits::check_params(&new.params)?;
        limits::check_registry_tags(&new.tags)?;
        self.write(|session| logged_models::create(session, new))
    }

    fn logged_model(&self, model_id: &str) -> Result<LoggedModel, TrackingError> {
        self.read(|session| logged_models::get(session, model_id))
    }

    fn finalize_logged_model(
        &self,
        model_id: &str,
        status: LoggedModelStatus,
    ) -> Result<LoggedModel, TrackingError> {
        self.write(|session| logged_models::finalize(session, model_id, status))
    }

    fn delete_logged_model(&self, model_id: &str) -> Result<(), TrackingError> {
        self.write(|session| logged_models::delete(session, model_id))
    }

    fn log_logged_model_params(&self, model_id: &str, params: &[Param]) -> Result<(), TrackingError> {
        limits::check_params(params)?;
        self.write(|session| logged_models::log_params(session, model_id, params))
    }

    fn set_logged_model_tags(&self, model_id: &str, tags: &[Tag]) -> Result<(), TrackingError> {
        limits::check_registry_tags(tags)?;
        self.write(|session| logged_models::set_tags(session, model_id, tags))
    }

    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<(), TrackingError> {
        self.write(|session| logged_models::delete_tag(session, model_id, key))
    }

    fn search_logged_models(&self, search: &SearchLoggedModels) -> Result<Page<LoggedModel>, TrackingError> {
        let prepared = logged_models::prepare(search)?;
        self.read(|session| logged_models::search(session, &prepared, search))
    }
}
