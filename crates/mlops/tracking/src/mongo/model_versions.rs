//! Versions of registered models in MongoDB.

use std::collections::HashMap;

use mongodb::bson::{Bson, doc};

use super::{
    MongoStore,
    documents::{RegisteredModelDocument, VersionDocument, pairs_of, set_pair, tags_of},
    registered_models::conditions_about_prompts,
    search::Search,
};
use crate::{
    ModelVersion, NewModelVersion, Page, SearchRegistry, Stage, Tag, TrackingError,
    filter::{Scope, parse_filter, parse_order_by},
    limits::{invalid, page_size},
    now_ms,
};

/// Results of a page unless it is asked otherwise.
const USUAL_PAGE: usize = 10_000;
/// MLflow's largest page of versions.
const LARGEST_PAGE: usize = 200_000;
/// The alias that every model has: its newest version.
const LATEST: &str = "latest";

impl MongoStore {
    pub(super) fn create_version(&self, new: &NewModelVersion) -> Result<ModelVersion, TrackingError> {
        // A version of a logged model comes from that model's run.
        let run_id = match (&new.run_id, &new.model_id) {
            (None, Some(model_id)) => {
                let found =
                    self.collections()?.logged_models.find_one(doc! { "_id": { "$eq": model_id } }).run();
                found.map_err(|error| self.failed(error))?.and_then(|model| model.source_run_id)
            }
            (run_id, _) => run_id.clone(),
        };
        let now = now_ms();
        // The number is spent first: a call that dies here leaves a gap, and no number comes twice.
        let model = self.modify_model(&new.name, |model| {
            model.last_version += 1;
            model.last_update_time = now;
            Ok(())
        })?;
        let document = VersionDocument {
            id: version_id(&model, model.last_version),
            revision: 0,
            model: model.id.clone(),
            name: model.name.clone(),
            version: model.last_version,
            creation_time: now,
            last_update_time: now,
            stage: Stage::None.as_str().to_owned(),
            description: new.description.clone(),
            source: new.source.clone(),
            storage_location: new.storage_location.clone(),
            run_id,
            run_link: new.run_link.clone(),
            model_id: new.model_id.clone(),
            tags: pairs_of(&new.tags),
        };
        let versions = &self.collections()?.versions;
        versions.insert_one(&document).run().map_err(|error| self.failed(error))?;
        read(document, &model)
    }

    pub(super) fn version_document(
        &self,
        name: &str,
        version: u64,
    ) -> Result<VersionDocument, TrackingError> {
        self.version_of(&self.model_document(name)?, version)
    }

    fn version_of(
        &self,
        model: &RegisteredModelDocument,
        version: u64,
    ) -> Result<VersionDocument, TrackingError> {
        // What is beyond the database's numbers is no version.
        let found = match i64::try_from(version) {
            Ok(number) => {
                let found =
                    self.collections()?.versions.find_one(doc! { "_id": version_id(model, number) }).run();
                found.map_err(|error| self.failed(error))?
            }
            Err(_) => None,
        };
        found.ok_or_else(|| self.not_found("model version", &format!("{}/{version}", model.name)))
    }

    pub(super) fn find_version(&self, name: &str, version: u64) -> Result<ModelVersion, TrackingError> {
        let model = self.model_document(name)?;
        read(self.version_of(&model, version)?, &model)
    }

    pub(super) fn find_version_by_alias(
        &self,
        name: &str,
        alias: &str,
    ) -> Result<ModelVersion, TrackingError> {
        let model = self.model_document(name)?;
        if alias.eq_ignore_ascii_case(LATEST) {
            let versions = &self.collections()?.versions;
            let newest = versions.find_one(doc! { "model": &model.id }).sort(doc! { "version": -1 }).run();
            let newest = newest.map_err(|error| self.failed(error))?;
            return read(newest.ok_or_else(|| self.not_found("version of the model", name))?, &model);
        }
        match model.aliases.iter().find(|entry| entry.alias == alias) {
            Some(entry) => read(self.version_of(&model, entry.version.cast_unsigned())?, &model),
            None => Err(invalid("alias", alias, &format!("model {name:?} has no such alias"))),
        }
    }

    fn modify_version(
        &self,
        name: &str,
        version: u64,
        change: impl Fn(&mut VersionDocument),
    ) -> Result<ModelVersion, TrackingError> {
        let model = self.model_document(name)?;
        let id = self.version_of(&model, version)?.id;
        let changed = self.modify(&self.collections()?.versions, "model version", id, |document| {
            change(document);
            Ok(())
        })?;
        read(changed, &model)
    }

    pub(super) fn describe_version(
        &self,
        name: &str,
        version: u64,
        description: &str,
    ) -> Result<ModelVersion, TrackingError> {
        self.modify_version(name, version, |document| {
            document.description = Some(description.to_owned());
            document.last_update_time = now_ms();
        })
    }

    /// The others first, so that a call that died half-way can be repeated.
    pub(super) fn move_version(
        &self,
        name: &str,
        version: u64,
        stage: Stage,
        archive_existing: bool,
    ) -> Result<ModelVersion, TrackingError> {
        let own = self.version_document(name, version)?;
        let now = now_ms();
        if archive_existing {
            let others = doc! { "model": &own.model, "stage": stage.as_str(), "_id": { "$ne": &own.id } };
            let update = doc! {
                "$set": { "stage": Stage::Archived.as_str(), "last_update_time": now }, "$inc": { "revision": 1_i64 },
            };
            let versions = &self.collections()?.versions;
            versions.update_many(others, update).run().map_err(|error| self.failed(error))?;
        }
        self.touch_model(name, now)?;
        self.modify_version(name, version, |document| {
            stage.as_str().clone_into(&mut document.stage);
            document.last_update_time = now;
        })
    }

    fn touch_model(&self, name: &str, now: i64) -> Result<(), TrackingError> {
        self.modify_model(name, |model| {
            model.last_update_time = now;
            Ok(())
        })?;
        Ok(())
    }

    /// Aliases first, so that none points at a version that is gone.
    pub(super) fn delete_version(&self, name: &str, version: u64) -> Result<(), TrackingError> {
        let own = self.version_document(name, version)?;
        self.modify_model(name, |model| {
            model.aliases.retain(|entry| entry.version != own.version);
            model.last_update_time = now_ms();
            Ok(())
        })?;
        let deleted = self.collections()?.versions.delete_one(doc! { "_id": own.id }).run();
        deleted.map_err(|error| self.failed(error))?;
        Ok(())
    }

    pub(super) fn set_tag_of_version(
        &self,
        name: &str,
        version: u64,
        tag: &Tag,
    ) -> Result<(), TrackingError> {
        self.modify_version(name, version, |document| set_pair(&mut document.tags, &tag.key, &tag.value))
            .map(drop)
    }

    pub(super) fn delete_tag_of_version(
        &self,
        name: &str,
        version: u64,
        key: &str,
    ) -> Result<(), TrackingError> {
        self.modify_version(name, version, |document| document.tags.retain(|pair| pair.k != key)).map(drop)
    }

    pub(super) fn find_versions(&self, search: &SearchRegistry) -> Result<Page<ModelVersion>, TrackingError> {
        let clauses = parse_filter(Scope::ModelVersions, &search.filter)?;
        let prepared = Search {
            scope: Scope::ModelVersions,
            conditions: conditions_about_prompts(Scope::ModelVersions, &clauses)?,
            order: parse_order_by(Scope::ModelVersions, &search.order_by)?,
            last: &[("name", false), ("version", true)],
            page_size: page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
            identity: format!("model versions {:?} {:?}", search.filter, search.order_by),
            page_token: search.page_token.as_deref(),
        };
        let page: Page<VersionDocument> = self.page(&self.collections()?.versions, &prepared)?;
        let models = self.models_of(&page.items)?;
        let items = page.items.into_iter().filter_map(|version| {
            // A version whose model is gone is on its way out.
            let model = models.get(&version.model)?;
            Some(read(version, model))
        });
        Ok(Page { items: items.collect::<Result<_, _>>()?, next_page_token: page.next_page_token })
    }

    fn models_of(
        &self,
        versions: &[VersionDocument],
    ) -> Result<HashMap<String, RegisteredModelDocument>, TrackingError> {
        let mut ids: Vec<&str> = versions.iter().map(|version| version.model.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let ids: Vec<Bson> = ids.into_iter().map(Bson::from).collect();
        let found = self.collections()?.registered_models.find(doc! { "_id": { "$in": ids } }).run();
        let found = found.map_err(|error| self.failed(error))?;
        found
            .map(|model| model.map(|model| (model.id.clone(), model)).map_err(|error| self.failed(error)))
            .collect()
    }
}

fn version_id(model: &RegisteredModelDocument, number: i64) -> String {
    format!("{}/{number}", model.id)
}

/// A version as its users see it, under its model's name and with its aliases.
pub(super) fn read(
    document: VersionDocument,
    model: &RegisteredModelDocument,
) -> Result<ModelVersion, TrackingError> {
    let aliases = model.aliases.iter().filter(|entry| entry.version == document.version);
    Ok(ModelVersion {
        name: model.name.clone(),
        version: document.version.cast_unsigned(),
        creation_timestamp: document.creation_time,
        last_updated_timestamp: document.last_update_time,
        current_stage: document.stage.parse()?,
        description: document.description,
        source: document.source,
        storage_location: document.storage_location,
        run_id: document.run_id,
        run_link: document.run_link,
        model_id: document.model_id,
        tags: tags_of(document.tags),
        aliases: aliases.map(|entry| entry.alias.clone()).collect(),
    })
}
