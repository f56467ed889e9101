//! [`ModelRegistry`] over an MLflow server.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    RemoteStore,
    client::Again,
    our_token, servers_token, tags_json,
    wire::{ModelVersionWire, Nothing, RegisteredModelWire},
};
use crate::{
    ErrorKind, ModelRegistry, ModelVersion, NewModelVersion, NewRegisteredModel, Page, RegisteredModel,
    SearchRegistry, Stage, Tag, TrackingError, limits,
};

/// MLflow's pages: usual and largest, of models and of versions.
const MODELS: (usize, usize) = (100, 1000);
const VERSIONS: (usize, usize) = (10_000, 200_000);

#[derive(Debug, Deserialize)]
struct FoundModel {
    registered_model: RegisteredModelWire,
}

#[derive(Debug, Deserialize)]
struct FoundVersion {
    model_version: ModelVersionWire,
}

impl RemoteStore {
    fn registry<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        again: Again,
    ) -> Result<T, TrackingError> {
        self.client.call(method, path, Some(body), again)
    }

    /// Of two refusals that MLflow's words do not tell apart: the model, or the version, is missing.
    fn model_missing(&self, name: &str, error: TrackingError) -> TrackingError {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidParameter => {
                self.registered_model(name).err().unwrap_or(error)
            }
            _ => error,
        }
    }

    fn version_missing(&self, name: &str, version: u64, error: TrackingError) -> TrackingError {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidParameter => {
                self.model_version(name, version).err().unwrap_or(error)
            }
            _ => error,
        }
    }

    /// A version that is asked for by a number that MLflow's database cannot hold.
    fn number(&self, name: &str, version: u64) -> Result<String, TrackingError> {
        // MLflow's column has 32 bits.
        match i32::try_from(version) {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(self.not_found("model version", &format!("{name}/{version}"))),
        }
    }
}

impl ModelRegistry for RemoteStore {
    fn create_registered_model(&self, new: &NewRegisteredModel) -> Result<RegisteredModel, TrackingError> {
        limits::check_model_name(&new.name)?;
        limits::check_registry_tags(&new.tags)?;
        let mut body = json!({ "name": new.name, "tags": tags_json(&new.tags) });
        if let Some(description) = &new.description {
            body["description"] = description.as_str().into();
        }
        let created: FoundModel =
            self.registry("POST", "registered-models/create", &body, Again::IfUnsent)?;
        Ok(created.registered_model.into())
    }

    fn registered_model(&self, name: &str) -> Result<RegisteredModel, TrackingError> {
        if name.is_empty() {
            return Err(self.not_found("registered model", name));
        }
        let found = self.client.get::<FoundModel>("registered-models/get", &[("name", name)]);
        found.map(|found| found.registered_model.into()).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidParameter => self.not_found("registered model", name),
            _ => error,
        })
    }

    fn rename_registered_model(&self, name: &str, new_name: &str) -> Result<RegisteredModel, TrackingError> {
        limits::check_model_name(new_name)?;
        if name == new_name {
            return self.registered_model(name);
        }
        let body = json!({ "name": name, "new_name": new_name });
        self.registry::<Nothing>("POST", "registered-models/rename", &body, Again::IfUnsent)?;
        self.registered_model(new_name)
    }

    fn update_registered_model(
        &self,
        name: &str,
        description: &str,
    ) -> Result<RegisteredModel, TrackingError> {
        let body = json!({ "name": name, "description": description });
        let updated = self.registry::<Nothing>("PATCH", "registered-models/update", &body, Again::Harmless);
        updated.map_err(|error| self.model_missing(name, error))?;
        self.registered_model(name)
    }

    fn delete_registered_model(&self, name: &str) -> Result<(), TrackingError> {
        let body = json!({ "name": name });
        let deleted = self.registry::<Nothing>("DELETE", "registered-models/delete", &body, Again::IfUnsent);
        deleted.map(drop).map_err(|error| self.model_missing(name, error))
    }

    fn search_registered_models(
        &self,
        search: &SearchRegistry,
    ) -> Result<Page<RegisteredModel>, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Found {
            #[serde(default)]
            registered_models: Vec<RegisteredModelWire>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let identity = format!("registered models {:?} {:?}", search.filter, search.order_by);
        let query = Query::new(search, &identity, MODELS, &[])?;
        let found: Found = self.client.get("registered-models/search", &query.parameters())?;
        let items = found.registered_models.into_iter().map(RegisteredModel::from).collect();
        Ok(Page { items, next_page_token: our_token(&identity, found.next_page_token) })
    }

    fn set_registered_model_tag(&self, name: &str, tag: &Tag) -> Result<(), TrackingError> {
        limits::check_registry_tags(std::slice::from_ref(tag))?;
        let body = json!({ "name": name, "key": tag.key, "value": tag.value });
        let set = self.registry::<Nothing>("POST", "registered-models/set-tag", &body, Again::Harmless);
        set.map(drop).map_err(|error| self.model_missing(name, error))
    }

    fn delete_registered_model_tag(&self, name: &str, key: &str) -> Result<(), TrackingError> {
        let body = json!({ "name": name, "key": key });
        let deleted =
            self.registry::<Nothing>("DELETE", "registered-models/delete-tag", &body, Again::Harmless);
        deleted.map(drop).map_err(|error| self.model_missing(name, error))
    }

    fn set_alias(&self, name: &str, alias: &str, version: u64) -> Result<(), TrackingError> {
        limits::check_new_alias(alias)?;
        let number = self.number(name, version)?;
        let body = json!({ "name": name, "alias": alias, "version": number });
        let set = self.registry::<Nothing>("POST", "registered-models/alias", &body, Again::Harmless);
        set.map(drop).map_err(|error| self.version_missing(name, version, error))
    }

    fn delete_alias(&self, name: &str, alias: &str) -> Result<(), TrackingError> {
        limits::check_alias(alias)?;
        let body = json!({ "name": name, "alias": alias });
        let deleted = self.registry::<Nothing>("DELETE", "registered-models/alias", &body, Again::Harmless);
        deleted.map(drop).map_err(|error| self.model_missing(name, error))
    }

    fn model_version_by_alias(&self, name: &str, alias: &str) -> Result<ModelVersion, TrackingError> {
        limits::check_alias(alias)?;
        let found =
            self.client.get::<FoundVersion>("registered-models/alias", &[("name", name), ("alias", alias)]);
        found.map(|found| found.model_version.into()).map_err(|error| self.model_missing(name, error))
    }

    fn create_model_version(&self, new: &NewModelVersion) -> Result<ModelVersion, TrackingError> {
        limits::check_registry_tags(&new.tags)?;
        let mut body = json!({ "name": new.name, "source": new.source, "tags": tags_json(&new.tags) });
        let texts = [
            ("run_id", &new.run_id),
            ("run_link", &new.run_link),
            ("model_id", &new.model_id),
            ("description", &new.description),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                body[name] = text.as_str().into();
            }
        }
        let created = self.registry::<FoundVersion>("POST", "model-versions/create", &body, Again::IfUnsent);
        created
            .map(|created| created.model_version.into())
            .map_err(|error| self.model_missing(&new.name, error))
    }

    fn model_version(&self, name: &str, version: u64) -> Result<ModelVersion, TrackingError> {
        let number = self.number(name, version)?;
        let found =
            self.client.get::<FoundVersion>("model-versions/get", &[("name", name), ("version", &number)]);
        found.map(|found| found.model_version.into()).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidParameter => {
                self.not_found("model version", &format!("{name}/{version}"))
            }
            _ => error,
        })
    }

    fn update_model_version(
        &self,
        name: &str,
        version: u64,
        description: &str,
    ) -> Result<ModelVersion, TrackingError> {
        let number = self.number(name, version)?;
        let body = json!({ "name": name, "version": number, "description": description });
        let updated = self.registry::<Nothing>("PATCH", "model-versions/update", &body, Again::Harmless);
        updated.map_err(|error| self.version_missing(name, version, error))?;
        self.model_version(name, version)
    }

    fn transition_stage(
        &self,
        name: &str,
        version: u64,
        stage: Stage,
        archive_existing: bool,
    ) -> Result<ModelVersion, TrackingError> {
        limits::check_transition(stage, archive_existing)?;
        let number = self.number(name, version)?;
        let body = json!({
            "name": name,
            "version": number,
            "stage": stage.as_str(),
            "archive_existing_versions": archive_existing,
        });
        let moved =
            self.registry::<Nothing>("POST", "model-versions/transition-stage", &body, Again::Harmless);
        moved.map_err(|error| self.version_missing(name, version, error))?;
        self.model_version(name, version)
    }

    fn delete_model_version(&self, name: &str, version: u64) -> Result<(), TrackingError> {
        let number = self.number(name, version)?;
        let body = json!({ "name": name, "version": number });
        let deleted = self.registry::<Nothing>("DELETE", "model-versions/delete", &body, Again::IfUnsent);
        deleted.map(drop).map_err(|error| self.version_missing(name, version, error))
    }

    fn search_model_versions(&self, search: &SearchRegistry) -> Result<Page<ModelVersion>, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Found {
            #[serde(default)]
            model_versions: Vec<ModelVersionWire>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let identity = format!("model versions {:?} {:?}", search.filter, search.order_by);
        // MLflow's own order is that of the last update.
        let query = Query::new(search, &identity, VERSIONS, &["name ASC", "version_number DESC"])?;
        let found: Found = self.client.get("model-versions/search", &query.parameters())?;
        let items = found.model_versions.into_iter().map(ModelVersion::from).collect();
        Ok(Page { items, next_page_token: our_token(&identity, found.next_page_token) })
    }

    fn latest_versions(&self, name: &str, stages: &[Stage]) -> Result<Vec<ModelVersion>, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Found {
            #[serde(default)]
            model_versions: Vec<ModelVersionWire>,
        }
        let stages: Vec<&str> = stages.iter().map(|stage| stage.as_str()).collect();
        let body = json!({ "name": name, "stages": stages });
        let found =
            self.registry::<Found>("POST", "registered-models/get-latest-versions", &body, Again::Harmless);
        let found = found.map_err(|error| self.model_missing(name, error))?;
        Ok(found.model_versions.into_iter().map(ModelVersion::from).collect())
    }

    fn set_model_version_tag(&self, name: &str, version: u64, tag: &Tag) -> Result<(), TrackingError> {
        limits::check_registry_tags(std::slice::from_ref(tag))?;
        let number = self.number(name, version)?;
        let body = json!({ "name": name, "version": number, "key": tag.key, "value": tag.value });
        let set = self.registry::<Nothing>("POST", "model-versions/set-tag", &body, Again::Harmless);
        set.map(drop).map_err(|error| self.version_missing(name, version, error))
    }

    fn delete_model_version_tag(&self, name: &str, version: u64, key: &str) -> Result<(), TrackingError> {
        let number = self.number(name, version)?;
        let body = json!({ "name": name, "version": number, "key": key });
        let deleted = self.registry::<Nothing>("DELETE", "model-versions/delete-tag", &body, Again::Harmless);
        deleted.map(drop).map_err(|error| self.version_missing(name, version, error))
    }
}

/// The parameters of a search.
struct Query<'a> {
    search: &'a SearchRegistry,
    size: String,
    token: Option<String>,
    /// The order where the search has none.
    usual_order: &'a [&'a str],
}

impl<'a> Query<'a> {
    fn new(
        search: &'a SearchRegistry,
        identity: &str,
        (usual, largest): (usize, usize),
        usual_order: &'a [&'a str],
    ) -> Result<Self, TrackingError> {
        let size = limits::page_size(search.max_results, usual, largest)?.to_string();
        let token = servers_token(identity, search.page_token.as_deref())?;
        Ok(Self { search, size, token, usual_order })
    }

    fn parameters(&self) -> Vec<(&str, &str)> {
        let mut parameters = vec![("filter", self.search.filter.as_str()), ("max_results", &self.size)];
        parameters.extend(self.search.order_by.iter().map(|key| ("order_by", key.as_str())));
        if self.search.order_by.is_empty() {
            parameters.extend(self.usual_order.iter().map(|key| ("order_by", *key)));
        }
        parameters.extend(self.token.as_deref().map(|token| ("page_token", token)));
        parameters
    }
}
