//! [`LineageStore`] over an MLflow server.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    RemoteStore,
    client::{Again, encode},
    our_token, servers_token, tags_json,
    wire::{LoggedModelWire, Nothing, SummaryWire},
};
use crate::{
    DatasetSummary, ErrorKind, LineageStore, LoggedModel, LoggedModelStatus, ModelOutput, NewLoggedModel,
    Page, Param, RunInputs, SearchLoggedModels, Tag, TrackingError, ViewType, limits, run_name,
};

/// Results of a page unless it is asked otherwise; MLflow has no more either.
const USUAL_PAGE: usize = 100;
const LARGEST_PAGE: usize = 50_000;

#[derive(Debug, Deserialize)]
struct Found {
    model: LoggedModelWire,
}

impl RemoteStore {
    pub(super) fn find_logged_model(&self, model_id: &str) -> Result<LoggedModel, TrackingError> {
        if model_id.is_empty() {
            return Err(self.not_found("logged model", model_id));
        }
        let found = self.client.get::<Found>(&model_path(model_id, ""), &[]);
        found.map(|found| found.model.into()).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidParameter => self.not_found("logged model", model_id),
            _ => error,
        })
    }
}

/// Of a logged model, or something of it.
fn model_path(model_id: &str, rest: &str) -> String {
    format!("logged-models/{}{rest}", encode(model_id))
}

fn params_json(params: &[Param]) -> Value {
    params.iter().map(|param| json!({ "key": param.key, "value": param.value })).collect()
}

impl LineageStore for RemoteStore {
    fn log_inputs(&self, run_id: &str, inputs: &RunInputs) -> Result<(), TrackingError> {
        limits::check_inputs(inputs)?;
        let known = crate::Run::from(self.active_run(run_id)?).inputs;
        let datasets = inputs.datasets.iter().map(|input| {
            let dataset = &input.dataset;
            let mut json = json!({
                "name": dataset.name,
                "digest": dataset.digest,
                "source_type": dataset.source_type,
                "source": dataset.source,
            });
            for (name, text) in [("schema", &dataset.schema), ("profile", &dataset.profile)] {
                if let Some(text) = text {
                    json[name] = text.as_str().into();
                }
            }
            json!({ "tags": tags_json(&input.tags), "dataset": json })
        });
        // MLflow's server fails at a model that the run has already.
        let models = inputs.models.iter().filter(|model_id| !known.models.contains(model_id));
        let models = models.map(|model_id| json!({ "model_id": model_id }));
        let body = json!({
            "run_id": run_id,
            "datasets": datasets.collect::<Vec<_>>(),
            "models": models.collect::<Vec<_>>(),
        });
        let logged = self.client.post::<Nothing>("runs/log-inputs", &body, Again::Harmless);
        logged.map(drop).map_err(|error| self.explained(run_id, error))
    }

    fn log_outputs(&self, run_id: &str, models: &[ModelOutput]) -> Result<(), TrackingError> {
        // MLflow's server does not look at the run, and fails at a model that the run has already.
        let known = crate::Run::from(self.active_run(run_id)?).outputs;
        let models = models.iter().filter(|model| !known.contains(model));
        let models: Vec<_> =
            models.map(|model| json!({ "model_id": model.model_id, "step": model.step })).collect();
        if models.is_empty() {
            return Ok(());
        }
        let body = json!({ "run_id": run_id, "models": models });
        self.client.post::<Nothing>("runs/outputs", &body, Again::Harmless).map(drop)
    }

    fn search_datasets(&self, experiment_ids: &[String]) -> Result<Vec<DatasetSummary>, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Found {
            #[serde(default)]
            dataset_summaries: Vec<SummaryWire>,
        }
        if experiment_ids.is_empty() {
            return Ok(Vec::new());
        }
        // Under `/api/2.0/` MLflow's own route lacks a slash.
        let path = "/ajax-api/2.0/mlflow/experiments/search-datasets";
        let found: Found =
            self.client.post(path, &json!({ "experiment_ids": experiment_ids }), Again::Harmless)?;
        Ok(found.dataset_summaries.into_iter().map(DatasetSummary::from).collect())
    }

    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel, TrackingError> {
        new.name.as_deref().map_or(Ok(()), limits::check_logged_model_name)?;
        limits::check_params(&new.params)?;
        limits::check_registry_tags(&new.tags)?;
        let mut body = json!({
            "experiment_id": new.experiment_id,
            "name": new.name.clone().unwrap_or_else(run_name::random),
            "params": params_json(&new.params),
            "tags": tags_json(&new.tags),
        });
        for (name, text) in [("model_type", &new.model_type), ("source_run_id", &new.source_run_id)] {
            if let Some(text) = text {
                body[name] = text.as_str().into();
            }
        }
        let created = self.client.post::<Found>("logged-models", &body, Again::IfUnsent);
        let created = created.map_err(|error| match error.kind() {
            ErrorKind::InvalidParameter | ErrorKind::NotFound => {
                self.active_experiment(&new.experiment_id).err().unwrap_or(error)
            }
            _ => error,
        })?;
        let created = LoggedModel::from(created.model);
        // MLflow's answer leaves out what it was given.
        self.find_logged_model(&created.model_id)
    }

    fn logged_model(&self, model_id: &str) -> Result<LoggedModel, TrackingError> {
        self.find_logged_model(model_id)
    }

    fn finalize_logged_model(
        &self,
        model_id: &str,
        status: LoggedModelStatus,
    ) -> Result<LoggedModel, TrackingError> {
        self.find_logged_model(model_id)?;
        let body = json!({ "model_id": model_id, "status": status });
        self.client.call::<Nothing>("PATCH", &model_path(model_id, ""), Some(&body), Again::Harmless)?;
        self.find_logged_model(model_id)
    }

    fn delete_logged_model(&self, model_id: &str) -> Result<(), TrackingError> {
        self.find_logged_model(model_id)?;
        self.client.call::<Nothing>("DELETE", &model_path(model_id, ""), None, Again::IfUnsent).map(drop)
    }

    fn log_logged_model_params(&self, model_id: &str, params: &[Param]) -> Result<(), TrackingError> {
        limits::check_params(params)?;
        let known = self.find_logged_model(model_id)?.params;
        let mut new = Vec::new();
        for param in params {
            match known.iter().find(|known| known.key == param.key) {
                None => new.push(param.clone()),
                Some(known) if known.value == param.value => {}
                Some(known) => {
                    let stored = &known.value;
                    let reason = format!(
                        "logged model {model_id} has {stored:?} for it, and params never change; use a tag"
                    );
                    return Err(limits::invalid("param", &param.key, &reason));
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let body = json!({ "model_id": model_id, "params": params_json(&new) });
        self.client.post::<Nothing>(&model_path(model_id, "/params"), &body, Again::IfUnsent).map(drop)
    }

    fn set_logged_model_tags(&self, model_id: &str, tags: &[Tag]) -> Result<(), TrackingError> {
        limits::check_registry_tags(tags)?;
        self.find_logged_model(model_id)?;
        if tags.is_empty() {
            return Ok(());
        }
        let body = json!({ "model_id": model_id, "tags": tags_json(tags) });
        self.client
            .call::<Nothing>("PATCH", &model_path(model_id, "/tags"), Some(&body), Again::Harmless)
            .map(drop)
    }

    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<(), TrackingError> {
        if self.find_logged_model(model_id)?.tags.iter().all(|tag| tag.key != key) {
            return Err(self.not_found("tag", key));
        }
        let path = model_path(model_id, &format!("/tags/{}", encode(key)));
        self.client.call::<Nothing>("DELETE", &path, None, Again::IfUnsent).map(drop)
    }

    fn search_logged_models(&self, search: &SearchLoggedModels) -> Result<Page<LoggedModel>, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Found {
            #[serde(default)]
            models: Vec<LoggedModelWire>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        // MLflow's request has no such field: it finds what is not deleted.
        if search.view != ViewType::ActiveOnly {
            return Err(self.unsupported("list deleted logged models"));
        }
        let identity = format!(
            "logged models {:?} {:?} {:?} {:?}",
            search.experiment_ids, search.filter, search.datasets, search.order_by
        );
        let size = limits::page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?;
        if search.experiment_ids.is_empty() {
            return Ok(Page { items: Vec::new(), next_page_token: None });
        }
        let order = search.order_by.iter().map(|key| {
            let mut json = json!({ "field_name": key.field, "ascending": key.ascending });
            for (field, value) in
                [("dataset_name", &key.dataset_name), ("dataset_digest", &key.dataset_digest)]
            {
                if let Some(value) = value {
                    json[field] = value.as_str().into();
                }
            }
            json
        });
        let datasets = search.datasets.iter().map(|(name, digest)| {
            let mut json = json!({ "dataset_name": name });
            if let Some(digest) = digest {
                json["dataset_digest"] = digest.as_str().into();
            }
            json
        });
        let mut body = json!({
            "experiment_ids": search.experiment_ids,
            "filter": search.filter,
            "order_by": order.collect::<Vec<_>>(),
            "datasets": datasets.collect::<Vec<_>>(),
            "max_results": size,
        });
        if let Some(token) = servers_token(&identity, search.page_token.as_deref())? {
            body["page_token"] = token.into();
        }
        let found: Found = self.client.post("logged-models/search", &body, Again::Harmless)?;
        let items = found.models.into_iter().map(LoggedModel::from).collect();
        Ok(Page { items, next_page_token: our_token(&identity, found.next_page_token) })
    }
}
