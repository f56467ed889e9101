//! Logged models: MLflow 3's models that exist without a registry.

use fulmen_tracking::{
    LoggedModelOrder, LoggedModelStatus, NewLoggedModel, SearchLoggedModels, TrackingError,
};

use super::{Call, Route, delete, done, files, get, one, page, patch, post};
use crate::{
    frame::{ApiError, Code},
    wire::{LOGGED_MODEL_STATUSES, WireLoggedModel, read_param, read_tag},
};

pub(super) const ROUTES: &[Route] = &[
    post("logged-models", create),
    post("logged-models/search", search),
    get("logged-models/{model_id}", by_id),
    patch("logged-models/{model_id}", finalize),
    delete("logged-models/{model_id}", remove),
    patch("logged-models/{model_id}/tags", set_tags),
    delete("logged-models/{model_id}/tags/{tag_key}", delete_tag),
    post("logged-models/{model_id}/params", log_params),
    get("logged-models/{model_id}/artifacts/directories", artifacts),
];

fn create(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let new = NewLoggedModel {
        experiment_id: call.experiment_id()?.to_owned(),
        name: call.fields.some_text("name")?,
        model_type: call.fields.some_text("model_type")?,
        source_run_id: call.fields.some_text("source_run_id")?,
        params: call.fields.objects("params", read_param)?,
        tags: call.fields.objects("tags", read_tag)?,
    };
    one("model", WireLoggedModel::from(&call.store.create_logged_model(&new)?))
}

fn by_id(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    one("model", WireLoggedModel::from(&call.store.logged_model(call.fields.required("model_id")?)?))
}

fn finalize(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let status: Option<LoggedModelStatus> = call.fields.choice("status", LOGGED_MODEL_STATUSES)?;
    let status = status.ok_or_else(|| call.fields.missing("status"))?;
    let model = call.store.finalize_logged_model(call.fields.required("model_id")?, status)?;
    one("model", WireLoggedModel::from(&model))
}

fn remove(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    call.store.delete_logged_model(call.fields.required("model_id")?)?;
    done()
}

fn set_tags(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let model_id = call.fields.required("model_id")?;
    call.store.set_logged_model_tags(model_id, &call.fields.objects("tags", read_tag)?)?;
    one("model", WireLoggedModel::from(&call.store.logged_model(model_id)?))
}

fn delete_tag(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let (model_id, key) = (call.fields.required("model_id")?, call.fields.required("tag_key")?);
    call.store.delete_logged_model_tag(model_id, key).map_err(|error| match error {
        TrackingError::NotFound { what: "tag", .. } => ApiError::new(
            Code::MISSING,
            format!("No tag with key '{key}' found for model with ID '{model_id}'."),
        ),
        error => error.into(),
    })?;
    done()
}

fn log_params(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let params = call.fields.objects("params", read_param)?;
    call.store.log_logged_model_params(call.fields.required("model_id")?, &params)?;
    done()
}

fn search(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let order_by = call.fields.objects("order_by", |order| {
        Ok(LoggedModelOrder {
            field: order.required("field_name")?.to_owned(),
            ascending: order.flag("ascending")?.unwrap_or(true),
            dataset_name: order.some_text("dataset_name")?,
            dataset_digest: order.some_text("dataset_digest")?,
        })
    })?;
    let datasets = call.fields.objects("datasets", |dataset| {
        Ok((dataset.required("dataset_name")?.to_owned(), dataset.some_text("dataset_digest")?))
    })?;
    let experiment_ids = call.experiment_ids()?;
    if experiment_ids.is_empty() {
        return Err(call.fields.missing("experiment_ids"));
    }
    let search = SearchLoggedModels {
        experiment_ids,
        filter: call.fields.text("filter")?.unwrap_or_default().to_owned(),
        datasets,
        order_by,
        max_results: call.fields.count("max_results")?,
        page_token: call.fields.some_text("page_token")?,
        ..SearchLoggedModels::default()
    };
    page::<_, WireLoggedModel<'_>>("models", &call.store.search_logged_models(&search)?)
}

fn artifacts(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let model = call.store.logged_model(call.fields.required("model_id")?)?;
    files(call, &model.artifact_uri, call.fields.text("artifact_directory_path")?.unwrap_or_default())
}
