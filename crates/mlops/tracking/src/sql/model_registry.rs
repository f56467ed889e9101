//! [`ModelRegistry`] over a SQL database.

use super::{Database, model_versions, registered_models};
use crate::{
    ModelRegistry, ModelVersion, NewModelVersion, NewRegisteredModel, Page, RegisteredModel, SearchRegistry,
    Stage, Tag, TrackingError, limits,
};

impl<D: Database> ModelRegistry for D {
    fn create_registered_model(&self, new: &NewRegisteredModel) -> Result<RegisteredModel, TrackingError> {
        limits::check_model_name(&new.name)?;
        limits::check_registry_tags(&new.tags)?;
        self.write(|session| registered_models::create(session, new))
    }

    fn registered_model(&self, name: &str) -> Result<RegisteredModel, TrackingError> {
        self.read(|session| registered_models::get(session, name))
    }

    fn rename_registered_model(&self, name: &str, new_name: &str) -> Result<RegisteredModel, TrackingError> {
        limits::check_model_name(new_name)?;
        self.write(|session| registered_models::rename(session, name, new_name))
    }

    fn update_registered_model(
        &self,
        name: &str,
        description: &str,
    ) -> Result<RegisteredModel, TrackingError> {
        self.write(|session| registered_models::update(session, name, description))
    }

    fn delete_registered_model(&self, name: &str) -> Result<(), TrackingError> {
        self.write(|session| registered_models::delete(session, name))
    }

    fn search_registered_models(
        &self,
        search: &SearchRegistry,
    ) -> Result<Page<RegisteredModel>, TrackingError> {
        let search = registered_models::prepare(search)?;
        self.read(|session| registered_models::search(session, &search))
    }

    fn set_registered_model_tag(&self, name: &str, tag: &Tag) -> Result<(), TrackingError> {
        limits::check_registry_tags(std::slice::from_ref(tag))?;
        self.write(|session| registered_models::set_tag(session, name, tag))
    }

    fn delete_registered_model_tag(&self, name: &str, key: &str) -> Result<(), TrackingError> {
        self.write(|session| registered_models::delete_tag(session, name, key))
    }

    fn set_alias(&self, name: &str, alias: &str, version: u64) -> Result<(), TrackingError> {
        limits::check_new_alias(alias)?;
        self.write(|session| registered_models::set_alias(session, name, alias, version))
    }

    fn delete_alias(&self, name: &str, alias: &str) -> Result<(), TrackingError> {
        limits::check_alias(alias)?;
        self.write(|session| registered_models::delete_alias(session, name, alias))
    }

    fn model_version_by_alias(&self, name: &str, alias: &str) -> Result<ModelVersion, TrackingError> {
        limits::check_alias(alias)?;
        self.read(|session| model_versions::by_alias(session, name, alias))
    }

    fn create_model_version(&self, new: &NewModelVersion) -> Result<ModelVersion, TrackingError> {
        limits::check_registry_tags(&new.tags)?;
        new.run_id.as_deref().map_or(Ok(()), |id| limits::check_id("run id", id))?;
        new.model_id.as_deref().map_or(Ok(()), |id| limits::check_id("logged model id", id))?;
        self.write(|session| model_versions::create(session, new))
    }

    fn model_version(&self, name: &str, version: u64) -> Result<ModelVersion, TrackingError> {
        self.read(|session| model_versions::get(session, name, version))
    }

    fn update_model_version(
        &self,
        name: &str,
        version: u64,
        description: &str,
    ) -> Result<ModelVersion, TrackingError> {
        self.write(|session| model_versions::update(session, name, version, description))
    }

    fn transition_stage(
        &self,
        name: &str,
        version: u64,
        stage: Stage,
        archive_existing: bool,
    ) -> Result<ModelVersion, TrackingError> {
        limits::check_transition(stage, archive_existing)?;
        self.write(|session| model_versions::transition(session, name, version, stage, archive_existing))
    }

    fn delete_model_version(&self, name: &str, version: u64) -> Result<(), TrackingError> {
        self.write(|session| model_versions::delete(session, name, version))
    }

    fn search_model_versions(&self, search: &SearchRegistry) -> Result<Page<ModelVersion>, TrackingError> {
        let search = model_versions::prepare(search)?;
        self.read(|session| model_versions::search(session, &search))
    }

    fn latest_versions(&self, name: &str, stages: &[Stage]) -> Result<Vec<ModelVersion>, TrackingError> {
        self.read(|session| registered_models::latest_versions(session, name, stages))
    }

    fn set_model_version_tag(&self, name: &str, version: u64, tag: &Tag) -> Result<(), TrackingError> {
        limits::check_registry_tags(std::slice::from_ref(tag))?;
        self.write(|session| model_versions::set_tag(session, name, version, tag))
    }

    fn delete_model_version_tag(&self, name: &str, version: u64, key: &str) -> Result<(), TrackingError> {
        self.write(|session| model_versions::delete_tag(session, name, version, key))
    }
}
