//! The model registry: registered models, versions, aliases, tags, stages.

use fulmen_tracking::{ModelVersion, NewRegisteredModel, SearchRegistry, Stage, Tag};
use serde_json::Value;

use super::{Call, Route, delete, done, get, list, one, page, patch, post, sources};
use crate::{
    frame::ApiError,
    wire::{WireModelVersion, WireRegisteredModel, read_tag},
};

pub(super) const ROUTES: &[Route] = &[
    post("registered-models/create", create),
    get("registered-models/get", by_name),
    post("registered-models/rename", rename),
    patch("registered-models/update", update),
    delete("registered-models/delete", remove),
    get("registered-models/search", search),
    get("registered-models/get-latest-versions", latest),
    post("registered-models/get-latest-versions", latest),
    post("registered-models/set-tag", set_tag),
    delete("registered-models/delete-tag", delete_tag),
    get("registered-models/alias", by_alias),
    post("registered-models/alias", set_alias),
    delete("registered-models/alias", delete_alias),
    post("model-versions/create", create_version),
    get("model-versions/get", version),
    patch("model-versions/update", update_version),
    delete("model-versions/delete", remove_version),
    get("model-versions/search", search_versions),
    get("model-versions/get-download-uri", download_uri),
    post("model-versions/transition-stage", transition_stage),
    post("model-versions/set-tag", set_version_tag),
    delete("model-versions/delete-tag", delete_version_tag),
];

impl<'a> Call<'a> {
    fn name(&self) -> Result<&'a str, ApiError> {
        self.fields.required("name")
    }

    fn version(&self) -> Result<u64, ApiError> {
        if let Ok(Some(number)) = self.fields.integer("version") {
            // Numbers begin at 1, so 0 names no version, and neither does a negative number.
            return Ok(u64::try_from(number).unwrap_or(0));
        }
        let version = self.fields.required("version")?;
        Err(ApiError::invalid(format!("Parameter 'version' must be an integer, got '{version}'.")))
    }

    fn registry_search(&self) -> Result<SearchRegistry, ApiError> {
        Ok(SearchRegistry {
            filter: self.fields.text("filter")?.unwrap_or_default().to_owned(),
            order_by: self.fields.texts("order_by")?,
            max_results: self.fields.count("max_results")?,
            page_token: self.fields.some_text("page_token")?,
        })
    }
}

fn create(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let new = NewRegisteredModel {
        name: call.name()?.to_owned(),
        description: call.fields.some_text("description")?,
        tags: call.fields.objects("tags", read_tag)?,
    };
    one("registered_model", WireRegisteredModel::from(&call.store.create_registered_model(&new)?))
}

fn by_name(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    one("registered_model", WireRegisteredModel::from(&call.store.registered_model(call.name()?)?))
}

fn rename(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let model = call.store.rename_registered_model(call.name()?, call.fields.required("new_name")?)?;
    one("registered_model", WireRegisteredModel::from(&model))
}

fn update(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let description = call.fields.text("description")?.unwrap_or_default();
    one(
        "registered_model",
        WireRegisteredModel::from(&call.store.update_registered_model(call.name()?, description)?),
    )
}

fn remove(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    call.store.delete_registered_model(call.name()?)?;
    done()
}

fn search(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let found = call.store.search_registered_models(&call.registry_search()?)?;
    page::<_, WireRegisteredModel<'_>>("registered_models", &found)
}

fn latest(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let stages = call.fields.texts("stages")?;
    let stages = stages.iter().map(|stage| stage.parse::<Stage>()).collect::<Result<Vec<_>, _>>()?;
    let found = call.store.latest_versions(call.name()?, &stages)?;
    list("model_versions", found.iter().map(WireModelVersion::from).collect())
}

fn set_tag(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    call.store.set_registered_model_tag(call.name()?, &read_tag(call.fields)?)?;
    done()
}

fn delete_tag(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    call.store.delete_registered_model_tag(call.name()?, call.fields.required("key")?)?;
    done()
}

fn by_alias(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let found = call.store.model_version_by_alias(call.name()?, call.fields.required("alias")?)?;
    one("model_version", WireModelVersion::from(&found))
}

fn set_alias(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    call.store.set_alias(call.name()?, call.fields.required("alias")?, call.version()?)?;
    done()
}

fn delete_alias(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    call.store.delete_alias(call.name()?, call.fields.required("alias")?)?;
    done()
}

fn create_version(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let created = call.store.create_model_version(&sources::new_version(call)?)?;
    if let Some(model_id) = &created.model_id {
        note_version(call, model_id, &created)?;
    }
    one("model_version", WireModelVersion::from(&created))
}

/// The tag of a logged model that lists the versions that were made of it.
const VERSIONS_TAG: &str = "mlflow.modelVersions";

/// Lists a version in the tag of its logged model, in the form that MLflow gives it.
fn note_version(call: &Call<'_>, model_id: &str, created: &ModelVersion) -> Result<(), ApiError> {
    let model = call.store.logged_model(model_id)?;
    let name = Value::from(created.name.as_str());
    let entry = format!("{{\"name\": {name}, \"version\": {}}}", created.version);
    let listed = model.tags.iter().find(|tag| tag.key == VERSIONS_TAG).map(|tag| tag.value.as_str());
    let earlier = listed.and_then(|listed| listed.trim_end().strip_suffix(']'));
    let earlier = earlier.filter(|earlier| earlier.ends_with('}'));
    let value = match earlier {
        Some(earlier) => format!("{earlier}, {entry}]"),
        None => format!("[{entry}]"),
    };
    call.store.set_logged_model_tags(model_id, &[Tag::new(VERSIONS_TAG, value)])?;
    Ok(())
}

fn version(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    one("model_version", WireModelVersion::from(&call.store.model_version(call.name()?, call.version()?)?))
}

fn update_version(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let description = call.fields.text("description")?.unwrap_or_default();
    let found = call.store.update_model_version(call.name()?, call.version()?, description)?;
    one("model_version", WireModelVersion::from(&found))
}

fn remove_version(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    call.store.delete_model_version(call.name()?, call.version()?)?;
    done()
}

fn search_versions(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let mut search = call.registry_search()?;
    if search.order_by.is_empty() {
        // MLflow's order where none is asked for; the store goes on with names and versions.
        search.order_by.push("last_updated_timestamp DESC".to_owned());
    }
    let found = call.store.search_model_versions(&search)?;
    page::<_, WireModelVersion<'_>>("model_versions", &found)
}

fn download_uri(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let version = call.store.model_version(call.name()?, call.version()?)?;
    one("artifact_uri", version.storage_location.unwrap_or(version.source))
}

fn transition_stage(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let stage = call.fields.required("stage")?.parse()?;
    let archive = call.fields.flag("archive_existing_versions")?.unwrap_or(false);
    let found = call.store.transition_stage(call.name()?, call.version()?, stage, archive)?;
    one("model_version", WireModelVersion::from(&found))
}

fn set_version_tag(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    call.store.set_model_version_tag(call.name()?, call.version()?, &read_tag(call.fields)?)?;
    done()
}

fn delete_version_tag(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    call.store.delete_model_version_tag(call.name()?, call.version()?, call.fields.required("key")?)?;
    done()
}
