//! Logged models in MongoDB, with the metrics that were measured on them.

use std::collections::BTreeSet;

use mongodb::bson::{Bson, Document, doc};
use uuid::Uuid;

use super::{
    MongoStore,
    documents::{LoggedModelDocument, ModelPoint, keep_latest, pair, pairs_of, params_of, set_pair, tags_of},
    query::{conditions, view},
    search::Search,
};
use crate::{
    LoggedModel, LoggedModelMetric, LoggedModelStatus, NewLoggedModel, Page, Param, RunBatch,
    SearchLoggedModels, Tag, TrackingError,
    filter::{Field, OrderKey, Scope, parse_filter},
    limits::{invalid, page_size},
    now_ms, run_name,
};

/// Results of a page unless it is asked otherwise.
const USUAL_PAGE: usize = 100;
/// Largest page of logged models.
const LARGEST_PAGE: usize = 50_000;

impl MongoStore {
    pub(super) fn create_logged_model_document(
        &self,
        new: &NewLoggedModel,
    ) -> Result<LoggedModel, TrackingError> {
        let experiment = self.active_experiment(&new.experiment_id)?;
        let model_id = format!("m-{}", Uuid::new_v4().simple());
        let now = now_ms();
        let mut document = LoggedModelDocument {
            artifact_uri: format!("{}/models/{model_id}/artifacts", experiment.artifact_location),
            model_id,
            revision: 0,
            experiment_id: experiment.id,
            experiment: experiment.experiment_id,
            name: new.name.clone().unwrap_or_else(run_name::random),
            creation_time: now,
            last_update_time: now,
            deleted_time: None,
            status: LoggedModelStatus::Pending.word().to_owned(),
            model_type: new.model_type.clone(),
            source_run_id: new.source_run_id.clone(),
            tags: pairs_of(&new.tags),
            params: Vec::new(),
            metrics: Vec::new(),
            latest: Vec::new(),
        };
        add_params(&mut document, &new.params)?;
        let models = &self.collections()?.logged_models;
        models.insert_one(&document).run().map_err(|error| self.failed(error))?;
        read(document)
    }

    pub(super) fn find_logged_model(&self, model_id: &str) -> Result<LoggedModel, TrackingError> {
        let query = doc! { "_id": { "$eq": model_id }, "deleted_time": { "$exists": false } };
        let found =
            self.collections()?.logged_models.find_one(query).run().map_err(|error| self.failed(error))?;
        read(found.ok_or_else(|| self.not_found("logged model", model_id))?)
    }

    /// Changes a model that is not deleted.
    pub(super) fn modify_logged_model(
        &self,
        model_id: &str,
        change: impl Fn(&mut LoggedModelDocument) -> Result<(), TrackingError>,
    ) -> Result<LoggedModelDocument, TrackingError> {
        self.modify(&self.collections()?.logged_models, "logged model", model_id, |model| {
            match model.deleted_time {
                Some(_) => Err(self.not_found("logged model", model_id)),
                None => change(model),
            }
        })
    }

    pub(super) fn finalize_logged_model_document(
        &self,
        model_id: &str,
        status: LoggedModelStatus,
    ) -> Result<LoggedModel, TrackingError> {
        read(self.modify_logged_model(model_id, |model| {
            status.word().clone_into(&mut model.status);
            model.last_update_time = now_ms();
            Ok(())
        })?)
    }

    pub(super) fn delete_logged_model_document(&self, model_id: &str) -> Result<(), TrackingError> {
        self.modify_logged_model(model_id, |model| {
            model.last_update_time = now_ms();
            model.deleted_time = Some(model.last_update_time);
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn add_params_of_model(&self, model_id: &str, params: &[Param]) -> Result<(), TrackingError> {
        self.modify_logged_model(model_id, |model| add_params(model, params)).map(drop)
    }

    pub(super) fn set_tags_of_model(&self, model_id: &str, tags: &[Tag]) -> Result<(), TrackingError> {
        self.modify_logged_model(model_id, |model| {
            tags.iter().for_each(|tag| set_pair(&mut model.tags, &tag.key, &tag.value));
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn delete_tag_of_model(&self, model_id: &str, key: &str) -> Result<(), TrackingError> {
        self.modify_logged_model(model_id, |model| {
            let count = model.tags.len();
            model.tags.retain(|pair| pair.k != key);
            if model.tags.len() == count { Err(self.not_found("tag", key)) } else { Ok(()) }
        })?;
        Ok(())
    }

    /// Refuses a batch with points of models that do not exist.
    pub(super) fn refuse_unknown_models(&self, batch: &RunBatch) -> Result<(), TrackingError> {
        let ids: BTreeSet<&str> =
            batch.model_metrics.iter().map(|measured| measured.model_id.as_str()).collect();
        for model_id in ids {
            let models = self.collections()?.logged_models.clone_with_type::<Document>();
            let found =
                models.find_one(doc! { "_id": { "$eq": model_id } }).projection(doc! { "_id": 1 }).run();
            if found.map_err(|error| self.failed(error))?.is_none() {
                return Err(invalid("logged model", model_id, "there is none with this id"));
            }
        }
        Ok(())
    }

    /// Removes what a run measured on models.
    pub(super) fn forget_measurements(&self, run_id: &str) -> Result<(), TrackingError> {
        let models = &self.collections()?.logged_models;
        let failed = |error| self.failed(error);
        let ids = models.clone_with_type::<Document>();
        for found in
            ids.find(doc! { "metrics.run_id": run_id }).projection(doc! { "_id": 1 }).run().map_err(failed)?
        {
            let Some(model_id) = found.map_err(failed)?.remove("_id") else { continue };
            self.modify(models, "logged model", model_id, |model| {
                model.metrics.retain(|point| point.run_id != run_id);
                model.latest.clear();
                for point in &model.metrics {
                    keep_latest(&mut model.latest, &point.k, point.point());
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    pub(super) fn find_logged_models(
        &self,
        search: &SearchLoggedModels,
    ) -> Result<Page<LoggedModel>, TrackingError> {
        let order = search.order_by.iter().map(|key| {
            let field = Field::of_logged_models(key)?;
            Ok(OrderKey { field, descending: !key.ascending })
        });
        let mut all = conditions(Scope::LoggedModels, &parse_filter(Scope::LoggedModels, &search.filter)?)?;
        all.insert(0, doc! { "experiment_id": { "$in": Self::experiment_keys(&search.experiment_ids) } });
        all.extend(view(search.view));
        if !search.datasets.is_empty() {
            let on = search.datasets.iter().map(|(name, digest)| {
                let mut on = doc! { "dataset_name": { "$eq": name } };
                if let Some(digest) = digest {
                    on.insert("dataset_digest", doc! { "$eq": digest });
                }
                Bson::from(doc! { "metrics": { "$elemMatch": on } })
            });
            all.push(doc! { "$or": on.collect::<Vec<_>>() });
        }
        let prepared = Search {
            scope: Scope::LoggedModels,
            conditions: all,
            order: order.collect::<Result<_, TrackingError>>()?,
            last: &[("creation_time", true), ("_id", false)],
            page_size: page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
            identity: format!(
                "logged models {:?} {:?} {:?} {:?} {:?}",
                search.experiment_ids, search.filter, search.datasets, search.view, search.order_by
            ),
            page_token: search.page_token.as_deref(),
        };
        let page = self.page(&self.collections()?.logged_models, &prepared)?;
        let items = page.items.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page { items, next_page_token: page.next_page_token })
    }
}

fn add_params(model: &mut LoggedModelDocument, params: &[Param]) -> Result<(), TrackingError> {
    for param in params {
        match pair(&model.params, &param.key) {
            Some(stored) if stored != param.value => {
                let id = &model.model_id;
                let reason =
                    format!("logged model {id} has {stored:?} for it, and params never change; use a tag");
                return Err(invalid("param", &param.key, &reason));
            }
            Some(_) => {}
            None => set_pair(&mut model.params, &param.key, &param.value),
        }
    }
    Ok(())
}

fn read(document: LoggedModelDocument) -> Result<LoggedModel, TrackingError> {
    Ok(LoggedModel {
        status: LoggedModelStatus::from_word(&document.status)?,
        metrics: latest_of_datasets(document.metrics),
        model_id: document.model_id,
        experiment_id: document.experiment,
        name: document.name,
        artifact_uri: document.artifact_uri,
        creation_timestamp_ms: document.creation_time,
        last_updated_timestamp_ms: document.last_update_time,
        model_type: document.model_type,
        source_run_id: document.source_run_id,
        tags: tags_of(document.tags),
        params: params_of(document.params),
    })
}

/// The latest point of each metric on each dataset, whichever run measured it.
fn latest_of_datasets(mut points: Vec<ModelPoint>) -> Vec<LoggedModelMetric> {
    let key =
        |point: &ModelPoint| (point.k.clone(), point.dataset_name.clone(), point.dataset_digest.clone());
    points.sort_by_cached_key(key);
    let mut latest: Vec<ModelPoint> = Vec::new();
    for point in points {
        match latest.last_mut() {
            Some(last) if last.is_on_same_dataset(&point) => {
                if point.point().is_later(&last.point()) {
                    *last = point;
                }
            }
            _ => latest.push(point),
        }
    }
    let shown = latest.into_iter().map(|point| LoggedModelMetric {
        metric: point.point().metric(point.k),
        run_id: point.run_id,
        dataset: Some((point.dataset_name, point.dataset_digest))
            .filter(|(name, digest)| !name.is_empty() || !digest.is_empty()),
    });
    shown.collect()
}
