//! Logged models.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Fault, dialect::Lock, metrics, paging::Search, query::Sql, search::experiment_keys, session::Session,
};
use crate::{
    LoggedModel, LoggedModelStatus, NewLoggedModel, Page, Param, SearchLoggedModels, Tag, TrackingError,
    filter::{Field, OrderKey, Scope, parse_filter},
    limits::{invalid, page_size},
    now_ms, run_name,
};

/// Results of a page unless it is asked otherwise.
const USUAL_PAGE: usize = 100;
/// Largest page of logged models.
const LARGEST_PAGE: usize = 50_000;

pub(super) fn create(session: &Session<'_>, new: &NewLoggedModel) -> Result<LoggedModel, Fault> {
    let experiment = session.active_experiment(&new.experiment_id, Lock::Shared)?;
    let model_id = format!("m-{}", Uuid::new_v4().simple());
    let name = new.name.clone().unwrap_or_else(run_name::random);
    let sql = "INSERT INTO logged_models (model_id, experiment_id, name, creation_time, last_update_time, status, model_type, \
               source_run_id) VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7) RETURNING logged_model";
    let status = LoggedModelStatus::Pending.word();
    let key = session.first(
        sql,
        &[&model_id, &experiment, &name, &now_ms(), &status, &new.model_type, &new.source_run_id],
        |row| row.get(0),
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
    let key = session.first(sql, &[&model_id], |row| row.get(0))?;
    key.ok_or_else(|| session.not_found("logged model", model_id))
}

pub(super) fn finalize(
    session: &Session<'_>,
    model_id: &str,
    status: LoggedModelStatus,
) -> Result<LoggedModel, Fault> {
    let key = key_of(session, model_id)?;
    let sql = "UPDATE logged_models SET status = ?2, last_update_time = ?3 WHERE logged_model = ?1";
    session.execute(sql, &[&key, &status.word(), &now_ms()])?;
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
    let Some((param, stored)) = session.insert_params("logged_model_params", "logged_model", key, params)?
    else {
        return Ok(());
    };
    let reason = format!("logged model {model_id} has {stored:?} for it, and params never change; use a tag");
    Err(invalid("param", &param.key, &reason).into())
}

fn upsert_tags(session: &Session<'_>, key: i64, tags: &[Tag]) -> Result<(), Fault> {
    session.upsert_texts("logged_model_tags", "logged_model", key, tags)
}

pub(super) fn prepare(search: &SearchLoggedModels) -> Result<Search, TrackingError> {
    let order = search.order_by.iter().map(|key| {
        let field = Field::of_logged_models(key)?;
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
    let mut sql = Sql::new(session.dialect());
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
    let (list, in_keys) = (session.key_list(keys), session.in_keys());
    let sql = format!(
        "SELECT l.logged_model, l.model_id, l.experiment_id, l.name, l.creation_time, l.last_update_time, l.status, \
         l.model_type, l.source_run_id, e.artifact_location \
         FROM logged_models l JOIN experiments e USING (experiment_id) WHERE l.logged_model {in_keys}"
    );
    let found = session.all(&sql, &[&list], |row| {
        let model_id: String = row.get(1)?;
        let experiment_id = row.get::<i64>(2)?.to_string();
        let location = session.artifact_location(row.get(9)?, &experiment_id);
        let model = LoggedModel {
            artifact_uri: format!("{location}/models/{model_id}/artifacts"),
            model_id,
            experiment_id,
            name: row.get(3)?,
            creation_timestamp_ms: row.get(4)?,
            last_updated_timestamp_ms: row.get(5)?,
            status: LoggedModelStatus::from_word(&row.get::<String>(6)?)?,
            model_type: row.get(7)?,
            source_run_id: row.get(8)?,
            tags: Vec::new(),
            params: Vec::new(),
            metrics: Vec::new(),
        };
        Ok((row.get::<i64>(0)?, model))
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
    metrics::attach_to_models(session, &list, &mut found)?;
    Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
}
