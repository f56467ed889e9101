//! Experiments.

use fulmen_tracking::{NewExperiment, SearchExperiments, Tag};

use super::{Call, Route, done, get, one, page, post};
use crate::{
    frame::{ApiError, Code},
    wire::{VIEW_TYPES, WireExperiment, read_tag},
};

pub(super) const ROUTES: &[Route] = &[
    post("experiments/create", create),
    get("experiments/get", by_id),
    get("experiments/get-by-name", by_name),
    get("experiments/search", search),
    post("experiments/search", search),
    post("experiments/update", rename),
    post("experiments/delete", delete),
    post("experiments/restore", restore),
    post("experiments/set-experiment-tag", set_tag),
    post("experiments/delete-experiment-tag", delete_tag),
];

impl<'a> Call<'a> {
    /// The id of an experiment; any whole number may be one.
    pub(super) fn experiment_id(&self) -> Result<&'a str, ApiError> {
        numeric(self.fields.required("experiment_id")?)
    }

    /// The ids of the experiments to search.
    pub(super) fn experiment_ids(&self) -> Result<Vec<String>, ApiError> {
        let ids = self.fields.texts("experiment_ids")?;
        ids.iter().try_for_each(|id| numeric(id).map(drop))?;
        Ok(ids)
    }
}

fn numeric(id: &str) -> Result<&str, ApiError> {
    let is_number =
        id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && id.parse::<i128>().is_ok();
    if is_number {
        return Ok(id);
    }
    Err(ApiError::invalid(format!("Invalid experiment ID '{id}'. Experiment ID must be a valid integer.")))
}

fn create(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let new = NewExperiment {
        name: call.fields.required("name")?.to_owned(),
        artifact_location: call.fields.some_text("artifact_location")?.map(absolute),
        tags: call.fields.objects("tags", read_tag)?,
    };
    one("experiment_id", call.store.create_experiment(&new)?.experiment_id)
}

/// A location without a scheme is a folder of the server's machine, as in MLflow.
fn absolute(location: String) -> String {
    if location.contains(':') {
        return location;
    }
    std::path::absolute(&location).map_or(location, |path| path.to_string_lossy().into_owned())
}

fn by_id(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let experiment = call.store.experiment(call.experiment_id()?)?;
    one("experiment", WireExperiment::from(&experiment))
}

fn by_name(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let name = call.fields.required("experiment_name")?;
    let found = call.store.experiment_by_name(name)?;
    let missing = || ApiError::new(Code::MISSING, format!("Could not find experiment with name '{name}'"));
    one("experiment", WireExperiment::from(&found.ok_or_else(missing)?))
}

fn search(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let search = SearchExperiments {
        filter: call.fields.text("filter")?.unwrap_or_default().to_owned(),
        view: call.fields.choice("view_type", VIEW_TYPES)?.unwrap_or_default(),
        order_by: call.fields.texts("order_by")?,
        max_results: call.fields.count("max_results")?,
        page_token: call.fields.some_text("page_token")?,
    };
    page::<_, WireExperiment<'_>>("experiments", &call.store.search_experiments(&search)?)
}

fn rename(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let id = call.experiment_id()?;
    call.store.rename_experiment(id, call.fields.required("new_name")?)?;
    done()
}

fn delete(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let id = call.experiment_id()?;
    call.store.delete_experiment(id).map_err(|error| gone(error.into(), "active experiment", id))?;
    done()
}

fn restore(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let id = call.experiment_id()?;
    call.store.restore_experiment(id).map_err(|error| gone(error.into(), "deleted experiment", id))?;
    done()
}

fn set_tag(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let tag: Tag = read_tag(call.fields)?;
    call.store.set_experiment_tag(call.experiment_id()?, &tag)?;
    done()
}

fn delete_tag(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    call.store.delete_experiment_tag(call.experiment_id()?, call.fields.required("key")?)?;
    done()
}

/// What is deleted already cannot be found by a second deletion, nor what is there by a restoration, as in MLflow.
fn gone(mut error: ApiError, what: &str, id: &str) -> ApiError {
    if error.code == Code::INVALID {
        error = ApiError::new(Code::MISSING, format!("No {what} with id={id} exists"));
    }
    error
}
