//! Runs: their life, what they log, their artifacts.

use std::collections::HashSet;

use fulmen_tracking::{
    MAX_BATCH_METRICS, NewRun, Param, RunBatch, RunInputs, RunUpdate, SearchRuns, Tag, TrackingError,
};
use serde_json::Value;

use super::{Call, Route, done, files, get, one, page, post};
use crate::{
    frame::{ApiError, Code},
    wire::{
        RUN_STATUSES, VIEW_TYPES, WireRun, WireRunInfo, read_dataset_input, read_metric, read_model_output,
        read_param, read_run_tag,
    },
};

/// The tag in which MLflow 2 kept the models of a run.
const MODEL_HISTORY_TAG: &str = "mlflow.log-model.history";

pub(super) const ROUTES: &[Route] = &[
    post("runs/log-metric", log_metric),
    post("runs/log-batch", log_batch),
    post("runs/create", create),
    get("runs/get", by_id),
    post("runs/update", update),
    post("runs/delete", delete),
    post("runs/restore", restore),
    post("runs/search", search),
    post("runs/log-parameter", log_param),
    post("runs/set-tag", set_tag),
    post("runs/delete-tag", delete_tag),
    post("runs/log-inputs", log_inputs),
    post("runs/outputs", log_outputs),
    post("runs/log-model", log_model),
    get("artifacts/list", artifacts),
];

fn create(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let new = NewRun {
        experiment_id: call.experiment_id()?.to_owned(),
        run_name: call.fields.some_text("run_name")?,
        user_id: call.fields.text("user_id")?.unwrap_or_default().to_owned(),
        start_time: call.fields.integer("start_time")?,
        tags: call.fields.objects("tags", read_run_tag)?,
        ..NewRun::default()
    };
    one("run", WireRun::from(&call.store.create_run(&new)?))
}

fn by_id(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    one("run", WireRun::from(&call.store.run(call.fields.run_id()?)?))
}

fn update(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let update = RunUpdate {
        status: call.fields.choice("status", RUN_STATUSES)?,
        end_time: call.fields.integer("end_time")?,
        run_name: call.fields.some_text("run_name")?,
    };
    one("run_info", WireRunInfo::from(&call.store.update_run(call.fields.run_id()?, &update)?))
}

fn delete(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    match call.store.delete_run(call.fields.run_id()?) {
        // A second deletion changes nothing, as in MLflow.
        Ok(()) | Err(TrackingError::Deleted { .. }) => done(),
        Err(error) => Err(error.into()),
    }
}

fn restore(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    match call.store.restore_run(call.fields.run_id()?) {
        // What is not deleted is as it should be, as in MLflow.
        Ok(()) | Err(TrackingError::Invalid { what: "run", .. }) => done(),
        Err(error) => Err(error.into()),
    }
}

fn search(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let search = SearchRuns {
        experiment_ids: call.experiment_ids()?,
        filter: call.fields.text("filter")?.unwrap_or_default().to_owned(),
        view: call.fields.choice("run_view_type", VIEW_TYPES)?.unwrap_or_default(),
        order_by: call.fields.texts("order_by")?,
        max_results: call.fields.count("max_results")?,
        page_token: call.fields.some_text("page_token")?,
    };
    page::<_, WireRun<'_>>("runs", &call.store.search_runs(&search)?)
}

fn log(call: &Call<'_>, run_id: &str, batch: &RunBatch) -> Result<Vec<u8>, ApiError> {
    call.store.log_batch(run_id, batch)?;
    done()
}

fn log_metric(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let run_id = call.fields.run_id()?;
    let (metric, on_model) = read_metric(call.fields)?;
    log(
        call,
        run_id,
        &RunBatch {
            metrics: vec![metric],
            model_metrics: on_model.into_iter().collect(),
            ..RunBatch::default()
        },
    )
}

fn log_param(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let run_id = call.fields.run_id()?;
    let param: Param = read_param(call.fields)?;
    log(call, run_id, &RunBatch { params: vec![param], ..RunBatch::default() })
}

fn set_tag(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let run_id = call.fields.run_id()?;
    let tag: Tag = read_run_tag(call.fields)?;
    log(call, run_id, &RunBatch { tags: vec![tag], ..RunBatch::default() })
}

fn log_batch(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let run_id = call.fields.run_id()?;
    let mut batch = RunBatch {
        params: call.fields.objects("params", read_param)?,
        tags: call.fields.objects("tags", read_run_tag)?,
        ..RunBatch::default()
    };
    for (metric, on_model) in call.fields.objects("metrics", read_metric)? {
        batch.metrics.push(metric);
        batch.model_metrics.extend(on_model);
    }
    let count = batch.metrics.len() + batch.params.len() + batch.tags.len();
    if count > MAX_BATCH_METRICS {
        return Err(TrackingError::TooMany {
            what: "metrics, params, and tags",
            count,
            limit: MAX_BATCH_METRICS,
        }
        .into());
    }
    // Twice the same value is refused too, as in MLflow.
    let mut keys = HashSet::new();
    let twice = batch.params.iter().filter(|param| !keys.insert(&param.key)).map(|param| &param.key);
    let twice: Vec<_> = twice.collect();
    if !twice.is_empty() {
        let message = format!(
            "Duplicate parameter keys have been submitted: {twice:?}. Please ensure the request contains only one param \
             value per param key."
        );
        return Err(ApiError::invalid(message));
    }
    call.store.log_batch(run_id, &batch).map_err(|error| match error {
        TrackingError::Invalid { what, value, reason } => ApiError::invalid_in(&batch, what, value, reason),
        error => error.into(),
    })?;
    done()
}

fn delete_tag(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let (run_id, key) = (call.fields.run_id()?, call.fields.required("key")?);
    call.store.delete_tag(run_id, key).map_err(|error| match error {
        TrackingError::NotFound { what: "tag", .. } => {
            ApiError::new(Code::MISSING, format!("No tag with name: {key} in run with id {run_id}"))
        }
        error => error.into(),
    })?;
    done()
}

fn log_inputs(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let inputs = RunInputs {
        datasets: call.fields.objects("datasets", read_dataset_input)?,
        models: call.fields.objects("models", |model| Ok(model.required("model_id")?.to_owned()))?,
    };
    call.store.log_inputs(call.fields.run_id()?, &inputs)?;
    done()
}

fn log_outputs(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let models = call.fields.objects("models", read_model_output)?;
    if models.is_empty() {
        return Err(call.fields.missing("models"));
    }
    call.store.log_outputs(call.fields.run_id()?, &models)?;
    done()
}

/// MLflow 2's way to note a model of a run: one more entry in a tag.
fn log_model(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let run_id = call.fields.run_id()?;
    let fault = |error| ApiError::invalid(format!("Malformed model info: {error}"));
    let model: Value = serde_json::from_str(call.fields.required("model_json")?).map_err(fault)?;
    let Value::Object(mut model) = model else {
        return Err(ApiError::invalid("Malformed model info: not an object"));
    };
    for field in ["artifact_path", "flavors", "utc_time_created", "run_id"] {
        if !model.contains_key(field) {
            return Err(ApiError::invalid(format!("Model json is missing mandatory field '{field}'")));
        }
    }
    // As MLflow: the signature may be long, and the environment's settings are no one's business.
    if let Some(Value::Object(flavors)) = model.get_mut("flavors") {
        flavors
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|flavor| drop(flavor.remove("config")));
    }
    let run = call.store.run(run_id)?;
    let earlier = run.data.tags.iter().find(|tag| tag.key == MODEL_HISTORY_TAG);
    let mut history: Vec<Value> =
        earlier.and_then(|tag| serde_json::from_str(&tag.value).ok()).unwrap_or_default();
    history.push(Value::Object(model));
    let tag = Tag::new(MODEL_HISTORY_TAG, Value::Array(history).to_string());
    log(call, run_id, &RunBatch { tags: vec![tag], ..RunBatch::default() })
}

fn artifacts(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let run = call.store.run(call.fields.run_id()?)?;
    files(call, &run.info.artifact_uri, call.fields.text("path")?.unwrap_or_default())
}
