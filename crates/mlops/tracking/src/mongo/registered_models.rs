//! Registered models in MongoDB.

use std::collections::HashMap;

use mongodb::bson::{Bson, Document, doc};
use uuid::Uuid;

use super::{
    MongoStore,
    documents::{AliasEntry, RegisteredModelDocument, VersionDocument, pairs_of, set_pair, tags_of},
    error::is_duplicate,
    model_versions,
    query::conditions,
    search::Search,
};
use crate::{
    ModelAlias, ModelVersion, NewRegisteredModel, Page, RegisteredModel, SearchRegistry, Stage, Tag,
    TrackingError,
    filter::{Clause, IS_PROMPT, Scope, parse_filter, parse_order_by, settle_prompts},
    limits::page_size,
    now_ms,
};

/// Results of a page unless it is asked otherwise.
const USUAL_PAGE: usize = 100;
/// MLflow's largest page of registered models.
const LARGEST_PAGE: usize = 1000;

impl MongoStore {
    pub(super) fn create_model_document(
        &self,
        new: &NewRegisteredModel,
    ) -> Result<RegisteredModel, TrackingError> {
        let now = now_ms();
        let document = RegisteredModelDocument {
            id: Uuid::new_v4().simple().to_string(),
            revision: 0,
            name: new.name.clone(),
            creation_time: now,
            last_update_time: now,
            description: new.description.clone(),
            last_version: 0,
            tags: pairs_of(&new.tags),
            aliases: Vec::new(),
        };
        match self.collections()?.registered_models.insert_one(&document).run() {
            Ok(_) => Ok(read(document, Vec::new())),
            Err(error) if is_duplicate(&error) => Err(exists(&new.name)),
            Err(error) => Err(self.failed(error)),
        }
    }

    pub(super) fn model_document(&self, name: &str) -> Result<RegisteredModelDocument, TrackingError> {
        let found = self.collections()?.registered_models.find_one(doc! { "name": { "$eq": name } }).run();
        found.map_err(|error| self.failed(error))?.ok_or_else(|| self.not_found("registered model", name))
    }

    pub(super) fn find_model(&self, name: &str) -> Result<RegisteredModel, TrackingError> {
        self.with_newest(vec![self.model_document(name)?])?
            .pop()
            .ok_or_else(|| self.not_found("registered model", name))
    }

    pub(super) fn modify_model(
        &self,
        name: &str,
        change: impl Fn(&mut RegisteredModelDocument) -> Result<(), TrackingError>,
    ) -> Result<RegisteredModelDocument, TrackingError> {
        let id = self.model_document(name)?.id;
        self.modify(&self.collections()?.registered_models, "registered model", id, change)
    }

    /// The model first: it is what a version's name is asked from. A call that died half-way can be repeated under the new
    /// name.
    pub(super) fn rename_model(&self, name: &str, new_name: &str) -> Result<RegisteredModel, TrackingError> {
        let now = now_ms();
        if name != new_name && self.model_document(new_name).is_ok() {
            self.model_document(name)?;
            return Err(exists(new_name));
        }
        let renamed = self.modify_model(name, |model| {
            new_name.clone_into(&mut model.name);
            model.last_update_time = now;
            Ok(())
        });
        // Two renames to one name at once: the unique index refuses the second.
        let renamed = match renamed {
            Err(error)
                if name != new_name
                    && self.model_document(name).is_ok()
                    && self.model_document(new_name).is_ok() =>
            {
                drop(error);
                return Err(exists(new_name));
            }
            renamed => renamed?,
        };
        let update = doc! {
            "$set": { "name": new_name, "last_update_time": now }, "$inc": { "revision": 1_i64 },
        };
        let versions = &self.collections()?.versions;
        versions
            .update_many(doc! { "model": renamed.id }, update)
            .run()
            .map_err(|error| self.failed(error))?;
        self.find_model(new_name)
    }

    pub(super) fn describe_model(
        &self,
        name: &str,
        description: &str,
    ) -> Result<RegisteredModel, TrackingError> {
        let changed = self.modify_model(name, |model| {
            model.description = Some(description.to_owned());
            model.last_update_time = now_ms();
            Ok(())
        })?;
        self.with_newest(vec![changed])?.pop().ok_or_else(|| self.not_found("registered model", name))
    }

    /// Versions first, so that a call that died half-way can be repeated; and last those that were created meanwhile.
    pub(super) fn delete_model(&self, name: &str) -> Result<(), TrackingError> {
        let id = self.model_document(name)?.id;
        let collections = self.collections()?;
        let delete_versions = || {
            let deleted = collections.versions.delete_many(doc! { "model": &id }).run();
            deleted.map_err(|error| self.failed(error))
        };
        delete_versions()?;
        let deleted = collections.registered_models.delete_one(doc! { "_id": &id }).run();
        deleted.map_err(|error| self.failed(error))?;
        delete_versions().map(drop)
    }

    pub(super) fn set_tag_of_registered_model(&self, name: &str, tag: &Tag) -> Result<(), TrackingError> {
        self.modify_model(name, |model| {
            set_pair(&mut model.tags, &tag.key, &tag.value);
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn delete_tag_of_registered_model(&self, name: &str, key: &str) -> Result<(), TrackingError> {
        self.modify_model(name, |model| {
            model.tags.retain(|pair| pair.k != key);
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn set_alias_of_version(
        &self,
        name: &str,
        alias: &str,
        version: u64,
    ) -> Result<(), TrackingError> {
        let number = self.version_document(name, version)?.version;
        let entry = AliasEntry { alias: alias.to_owned(), version: number };
        self.modify_model(name, |model| {
            match model.aliases.binary_search_by(|known| known.alias.as_str().cmp(alias)) {
                Ok(at) => model.aliases[at] = entry.clone(),
                Err(at) => model.aliases.insert(at, entry.clone()),
            }
            Ok(())
        })?;
        // Deleted meanwhile: its aliases are gone, and this one may have come too late for that.
        if let Err(error) = self.version_document(name, version) {
            self.modify_model(name, |model| {
                model.aliases.retain(|known| *known != entry);
                Ok(())
            })?;
            return Err(error);
        }
        Ok(())
    }

    pub(super) fn delete_alias_of_model(&self, name: &str, alias: &str) -> Result<(), TrackingError> {
        self.modify_model(name, |model| {
            model.aliases.retain(|known| known.alias != alias);
            Ok(())
        })?;
        Ok(())
    }

    /// The newest version of each of these stages, by number; of every stage where none is named.
    pub(super) fn newest_versions(
        &self,
        name: &str,
        stages: &[Stage],
    ) -> Result<Vec<ModelVersion>, TrackingError> {
        let mut versions = self.find_model(name)?.latest_versions;
        versions.retain(|version| stages.is_empty() || stages.contains(&version.current_stage));
        Ok(versions)
    }

    pub(super) fn find_models(
        &self,
        search: &SearchRegistry,
    ) -> Result<Page<RegisteredModel>, TrackingError> {
        let clauses = parse_filter(Scope::RegisteredModels, &search.filter)?;
        let prepared = Search {
            scope: Scope::RegisteredModels,
            conditions: conditions_about_prompts(Scope::RegisteredModels, &clauses)?,
            order: parse_order_by(Scope::RegisteredModels, &search.order_by)?,
            last: &[("name", false)],
            page_size: page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
            identity: format!("registered models {:?} {:?}", search.filter, search.order_by),
            page_token: search.page_token.as_deref(),
        };
        let page = self.page(&self.collections()?.registered_models, &prepared)?;
        Ok(Page { items: self.with_newest(page.items)?, next_page_token: page.next_page_token })
    }

    /// Models as their users see them, each with the newest version of each stage, by number.
    fn with_newest(
        &self,
        models: Vec<RegisteredModelDocument>,
    ) -> Result<Vec<RegisteredModel>, TrackingError> {
        let ids: Vec<Bson> = models.iter().map(|model| Bson::from(model.id.as_str())).collect();
        let pipeline = [
            doc! { "$match": { "model": { "$in": ids } } },
            doc! { "$sort": { "version": -1 } },
            doc! { "$group": { "_id": { "model": "$model", "stage": "$stage" }, "newest": { "$first": "$$ROOT" } } },
            doc! { "$replaceRoot": { "newRoot": "$newest" } },
        ];
        let found = self.collections()?.versions.aggregate(pipeline).with_type::<VersionDocument>().run();
        let mut newest: HashMap<String, Vec<VersionDocument>> = HashMap::new();
        for version in found.map_err(|error| self.failed(error))? {
            let version = version.map_err(|error| self.failed(error))?;
            newest.entry(version.model.clone()).or_default().push(version);
        }
        let read_one = |model: RegisteredModelDocument| {
            let mut versions = newest.remove(&model.id).unwrap_or_default();
            versions.sort_by_key(|version| version.version);
            let versions = versions.into_iter().map(|version| model_versions::read(version, &model));
            let versions = versions.collect::<Result<Vec<_>, _>>()?;
            Ok(read(model, versions))
        };
        models.into_iter().map(read_one).collect()
    }
}

/// A condition for each clause. Prompts are left out unless a clause asks for them; what such a clause says is then settled.
pub(super) fn conditions_about_prompts(
    scope: Scope,
    clauses: &[Clause],
) -> Result<Vec<Document>, TrackingError> {
    let (wants_prompts, others) = settle_prompts(clauses);
    let is_prompt = doc! { "tags": { "$elemMatch": { "k": IS_PROMPT, "v": "true" } } };
    let mut all = conditions(scope, &others)?;
    all.push(if wants_prompts {
        is_prompt
    } else {
        doc! { "$nor": [is_prompt] }
    });
    Ok(all)
}

fn exists(name: &str) -> TrackingError {
    TrackingError::Exists { what: "registered model", name: name.to_owned() }
}

fn read(document: RegisteredModelDocument, latest_versions: Vec<ModelVersion>) -> RegisteredModel {
    let alias = |entry: AliasEntry| ModelAlias { alias: entry.alias, version: entry.version.cast_unsigned() };
    RegisteredModel {
        name: document.name,
        creation_timestamp: document.creation_time,
        last_updated_timestamp: document.last_update_time,
        description: document.description,
        latest_versions,
        tags: tags_of(document.tags),
        aliases: document.aliases.into_iter().map(alias).collect(),
    }
}
