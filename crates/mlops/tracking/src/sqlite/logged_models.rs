//! Logged models, and the metrics that were measured on them.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{
    error::Fault,
    log,
    paging::{Search, page_size},
    query::Sql,
    runs,
    search::experiment_keys,
    session::{IN_KEYS, Session, key_list},
};
use crate::{
    LoggedModel, LoggedModelMetric, LoggedModelStatus, ModelMetric, NewLoggedModel, Page, Param,
    SearchLoggedModels, Tag, TrackingError,
    filter::{Field, OrderKey, Scope, parse_filter},
    limits::invalid,
    now_ms, run_name,
};

/// Results of a page unless it is asked otherwise.
const USUAL_PAGE: usize = 100;
/// Largest page of logged models.
const LARGEST_PAGE: usize = 50_000;

pub(super) fn create(session: &Session<'_>, new: &NewLoggedModel) -> Result<LoggedModel, Fault> {
    let experiment = session.active_experiment(&new.experiment_id)?;
    let model_id = format!("m-{}", Uuid::new_v4().simple());
    let name = new.name.clone().unwrap_or_else(run_name::random);
    let sql = "INSERT INTO logged_models (model_id, experiment_id, name, creation_time, last_update_time, status, model_type, \
               source_run_id) VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7) RETURNING logged_model";
    let status = stored_status(LoggedModelStatus::Pending);
    let key = session.first(
        sql,
        &[&model_id, &experiment, &name, &now_ms(), &status, &new.model_type, &new.source_run_id],
        |row| Ok(row.get(0)?),
    )?;
    let key = key.ok_or_else(|| session.not_found("logged model", &model_id))?;
    insert_params(session, key, &model_id, &new.params)?;
    upsert_tags(session, key, &new.tags)?;
    get(session, &model_id)
}

pub(super) fn get(session: &Session<'_>, model_id: &str) -> Result<LoggedModel, Fault> {
    let key = key_of(session, model_id)?;
    load(session, &[key])?.pop().ok_or_else(|| session.not_found("logged model", model_id))
}

/// Row key of a model that is not deleted.
fn key_of(session: &Session<'_>, model_id: &str) -> Result<i64, Fault> {
    let sql = "SELECT logged_model FROM logged_models WHERE model_id = ?1 AND deleted_time IS NULL";
    let key = session.first(sql, &[&model_id], |row| Ok(row.get(0)?))?;
    key.ok_or_else(|| session.not_found("logged model", model_id))
}

pub(super) fn finalize(
    session: &Session<'_>,
    model_id: &str,
    status: LoggedModelStatus,
) -> Result<LoggedModel, Fault> {
    let key = key_of(session, model_id)?;
    let sql = "UPDATE logged_models SET status = ?2, last_update_time = ?3 WHERE logged_model = ?1";
    session.execute(sql, &[&key, &stored_status(status), &now_ms()])?;
    get(session, model_id)
}

pub(super) fn delete(session: &Session<'_>, model_id: &str) -> Result<(), Fault> {
    let key = key_of(session, model_id)?;
    let sql = "UPDATE logged_models SET deleted_time = ?2, last_update_time = ?2 WHERE logged_model = ?1";
    session.execute(sql, &[&key, &now_ms()])?;
    Ok(())
}

pub(super) fn log_params(session: &Session<'_>, model_id: &str, params: &[Param]) -> Result<(), Fault> {
    insert_params(session, key_of(session, model_id)?, model_id, params)
}

pub(super) fn set_tags(session: &Session<'_>, model_id: &str, tags: &[Tag]) -> Result<(), Fault> {
    upsert_tags(session, key_of(session, model_id)?, tags)
}

pub(super) fn delete_tag(session: &Session<'_>, model_id: &str, tag: &str) -> Result<(), Fault> {
    let key = key_of(session, model_id)?;
    let sql = "DELETE FROM logged_model_tags WHERE logged_model = ?1 AND key = ?2";
    match session.execute(sql, &[&key, &tag])? {
        0 => Err(session.not_found("tag", tag)),
        _ => Ok(()),
    }
}

fn insert_params(session: &Session<'_>, key: i64, model_id: &str, params: &[Param]) -> Result<(), Fault> {
    let insert = "INSERT INTO logged_model_params (logged_model, key, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let select = "SELECT value FROM logged_model_params WHERE logged_model = ?1 AND key = ?2";
    for param in params {
        if session.execute(insert, &[&key, &param.key, &param.value])? > 0 {
            continue;
        }
        let stored: Option<String> = session.first(select, &[&key, &param.key], |row| Ok(row.get(0)?))?;
        if stored.as_deref() != Some(param.value.as_str()) {
            let reason = format!(
                "logged model {model_id} has {:?} for it, and params never change; use a tag",
                stored.unwrap_or_default()
            );
            return Err(invalid("param", &param.key, &reason).into());
        }
    }
    Ok(())
}

fn upsert_tags(session: &Session<'_>, key: i64, tags: &[Tag]) -> Result<(), Fault> {
    let sql = "INSERT INTO logged_model_tags (logged_model, key, value) VALUES (?1, ?2, ?3) \
               ON CONFLICT (logged_model, key) DO UPDATE SET value = excluded.value";
    for tag in tags {
        session.execute(sql, &[&key, &tag.key, &tag.value])?;
    }
    Ok(())
}

/// Writes points that `run` measured on models; of each metric and dataset the latest stays.
pub(super) fn log_metrics(session: &Session<'_>, run: i64, points: &[ModelMetric]) -> Result<(), Fault> {
    let sql = "INSERT INTO logged_model_metrics (logged_model, metric_key, dataset_name, dataset_digest, run, step, timestamp, \
               axis, is_nan, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
               ON CONFLICT (logged_model, metric_key, dataset_name, dataset_digest, run) DO UPDATE SET step = excluded.step, \
               timestamp = excluded.timestamp, axis = excluded.axis, is_nan = excluded.is_nan, value = excluded.value \
               WHERE (excluded.step, excluded.timestamp, NOT excluded.is_nan, excluded.value) > \
               (logged_model_metrics.step, logged_model_metrics.timestamp, NOT logged_model_metrics.is_nan, logged_model_metrics.value)";
    let mut models: HashMap<&str, i64> = HashMap::new();
    for ModelMetric { model_id, metric, dataset } in points {
        let model = match models.get(model_id.as_str()) {
            Some(model) => *model,
            None => {
                let select = "SELECT logged_model FROM logged_models WHERE model_id = ?1";
                let model = session.first(select, &[model_id], |row| Ok(row.get(0)?))?;
                let model =
                    model.ok_or_else(|| invalid("logged model", model_id, "there is none with this id"))?;
                models.insert(model_id, model);
                model
            }
        };
        let metric_key = log::metric_key(session, &metric.key)?;
        let (name, digest) = dataset.as_ref().map_or(("", ""), |(name, digest)| (name, digest));
        let (is_nan, value) = log::stored_value(metric);
        let axis = log::stored_axis(metric.axis);
        session.execute(
            sql,
            &[
                &model,
                &metric_key,
                &name,
                &digest,
                &run,
                &metric.step,
                &metric.timestamp,
                &axis,
                &is_nan,
                &value,
            ],
        )?;
    }
    Ok(())
}

pub(super) fn prepare(search: &SearchLoggedModels) -> Result<Search, TrackingError> {
    let order = search.order_by.iter().map(|key| {
        let field = Field::named(Scope::LoggedModels, &key.field)?;
        Ok(OrderKey { field, descending: !key.ascending })
    });
    let order = order.collect::<Result<Vec<_>, TrackingError>>()?;
    Search::new(
        parse_filter(Scope::LoggedModels, &search.filter)?,
        order,
        &[("creation_time", true), ("model_id", false)],
        page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
        format!(
            "logged models {:?} {:?} {:?} {:?} {:?}",
            search.experiment_ids, search.filter, search.datasets, search.view, search.order_by
        ),
        search.page_token.as_deref(),
    )
}

pub(super) fn search(
    session: &Session<'_>,
    prepared: &Search,
    search: &SearchLoggedModels,
) -> Result<Page<LoggedModel>, Fault> {
    let mut sql = Sql::default();
    sql.push("SELECT l.logged_model AS row_key, l.creation_time, l.model_id");
    sql.push_order_columns(Scope::LoggedModels, &prepared.order, session.artifact_root);
    sql.push(" FROM logged_models l WHERE l.experiment_id");
    sql.push_in_keys(&experiment_keys(&search.experiment_ids));
    sql.push_view(search.view, "l.deleted_time");
    push_datasets(&mut sql, &search.datasets);
    sql.push_clauses(Scope::LoggedModels, &prepared.clauses, session.artifact_root);
    let page = prepared.page_of_keys(session, sql)?;
    Ok(Page { items: load(session, &page.items)?, next_page_token: page.next_page_token })
}

/// ` AND …`: there are metrics on one of these datasets.
fn push_datasets(sql: &mut Sql, datasets: &[(String, Option<String>)]) {
    if datasets.is_empty() {
        return;
    }
    sql.push(" AND EXISTS (SELECT 1 FROM logged_model_metrics d WHERE d.logged_model = l.logged_model AND (");
    for (index, (name, digest)) in datasets.iter().enumerate() {
        sql.push(if index > 0 { " OR d.dataset_name = " } else { "d.dataset_name = " }).bind(name.clone());
        if let Some(digest) = digest {
            sql.push(" AND d.dataset_digest = ").bind(digest.clone());
        }
    }
    sql.push("))");
}

/// Reads whole models, in the order of their row keys in `keys`.
fn load(session: &Session<'_>, keys: &[i64]) -> Result<Vec<LoggedModel>, Fault> {
    let list = key_list(keys);
    let sql = format!(
        "SELECT l.logged_model, l.model_id, l.experiment_id, l.name, l.creation_time, l.last_update_time, l.status, \
         l.model_type, l.source_run_id, e.artifact_location \
         FROM logged_models l JOIN experiments e USING (experiment_id) WHERE l.logged_model {IN_KEYS}"
    );
    let found = session.all(&sql, &[&list], |row| {
        let model_id: String = row.get(1)?;
        let experiment_id = row.get::<_, i64>(2)?.to_string();
        let location = session.artifact_location(row.get(9)?, &experiment_id);
        let model = LoggedModel {
            artifact_uri: format!("{location}/models/{model_id}/artifacts"),
            model_id,
            experiment_id,
            name: row.get(3)?,
            creation_timestamp_ms: row.get(4)?,
            last_updated_timestamp_ms: row.get(5)?,
            status: read_status(&row.get::<_, String>(6)?)?,
            model_type: row.get(7)?,
            source_run_id: row.get(8)?,
            tags: Vec::new(),
            params: Vec::new(),
            metrics: Vec::new(),
        };
        Ok((row.get::<_, i64>(0)?, model))
    })?;
    let mut found: HashMap<i64, LoggedModel> = found.into_iter().collect();
    for (owner, key, value) in session.texts("logged_model_params", "logged_model", keys)? {
        if let Some(model) = found.get_mut(&owner) {
            model.params.push(Param { key, value });
        }
    }
    for (owner, key, value) in session.texts("logged_model_tags", "logged_model", keys)? {
        if let Some(model) = found.get_mut(&owner) {
            model.tags.push(Tag { key, value });
        }
    }
    attach_metrics(session, &list, &mut found)?;
    Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
}

/// Fills in the latest point of each metric on each dataset, whichever run measured it.
fn attach_metrics(
    session: &Session<'_>,
    list: &str,
    found: &mut HashMap<i64, LoggedModel>,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT m.logged_model, k.key, m.dataset_name, m.dataset_digest, r.run_id, m.step, m.timestamp, m.axis, m.is_nan, \
         m.value FROM logged_model_metrics m JOIN metric_keys k USING (metric_key) JOIN runs r USING (run) \
         WHERE m.logged_model {IN_KEYS}"
    );
    let points = session.all(&sql, &[&list], |row| {
        let dataset = (row.get::<_, String>(2)?, row.get::<_, String>(3)?);
        let metric = runs::metric_from_row(row.get(1)?, row, 5)?;
        Ok((row.get::<_, i64>(0)?, dataset, metric, row.get::<_, String>(4)?))
    })?;
    let mut latest = BTreeMap::new();
    for (model, dataset, metric, run_id) in points {
        let key = (model, metric.key.clone(), dataset.clone());
        let is_latest =
            latest.get(&key).is_none_or(|point: &LoggedModelMetric| log::is_later(&metric, &point.metric));
        if is_latest {
            let dataset = Some(dataset).filter(|(name, digest)| !name.is_empty() || !digest.is_empty());
            latest.insert(key, LoggedModelMetric { metric, run_id, dataset });
        }
    }
    for ((model, ..), point) in latest {
        if let Some(model) = found.get_mut(&model) {
            model.metrics.push(point);
        }
    }
    Ok(())
}

/// A status as the database keeps it, and as filters name it.
fn stored_status(status: LoggedModelStatus) -> &'static str {
    match status {
        LoggedModelStatus::Pending => "PENDING",
        LoggedModelStatus::Ready => "READY",
        LoggedModelStatus::UploadFailed => "FAILED",
    }
}

fn read_status(text: &str) -> Result<LoggedModelStatus, TrackingError> {
    let all = [LoggedModelStatus::Pending, LoggedModelStatus::Ready, LoggedModelStatus::UploadFailed];
    let found = all.into_iter().find(|status| stored_status(*status) == text);
    found.ok_or_else(|| invalid("status of a logged model", text, "it is not one of PENDING, READY, FAILED"))
}
