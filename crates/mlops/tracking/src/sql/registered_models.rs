//! Registered models.

use std::collections::HashMap;

use super::{
    Fault, model_versions,
    paging::Search,
    query::Sql,
    session::{Row, Session},
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

pub(super) fn create(session: &Session<'_>, new: &NewRegisteredModel) -> Result<RegisteredModel, Fault> {
    refuse_taken_name(session, &new.name)?;
    let sql = "INSERT INTO registered_models (name, creation_time, last_update_time, description) \
               VALUES (?1, ?2, ?2, ?3) RETURNING registered_model";
    let key = session.first(sql, &[&new.name, &now_ms(), &new.description], |row| row.get(0))?;
    let key = key.ok_or_else(|| session.not_found("registered model", &new.name))?;
    session.upsert_texts("registered_model_tags", "registered_model", key, &new.tags)?;
    get(session, &new.name)
}

pub(super) fn get(session: &Session<'_>, name: &str) -> Result<RegisteredModel, Fault> {
    let key = key_of(session, name)?;
    load(session, &[key])?.pop().ok_or_else(|| session.not_found("registered model", name))
}

/// Row key of the model with this name.
pub(super) fn key_of(session: &Session<'_>, name: &str) -> Result<i64, Fault> {
    let sql = "SELECT registered_model FROM registered_models WHERE name = ?1";
    let key = session.first(sql, &[&name], |row| row.get(0))?;
    key.ok_or_else(|| session.not_found("registered model", name))
}

pub(super) fn rename(session: &Session<'_>, name: &str, new_name: &str) -> Result<RegisteredModel, Fault> {
    let key = key_of(session, name)?;
    if name != new_name {
        refuse_taken_name(session, new_name)?;
    }
    let now = now_ms();
    let sql = "UPDATE registered_models SET name = ?2, last_update_time = ?3 WHERE registered_model = ?1";
    session.execute(sql, &[&key, &new_name, &now])?;
    let sql = "UPDATE model_versions SET last_update_time = ?2 WHERE registered_model = ?1";
    session.execute(sql, &[&key, &now])?;
    get(session, new_name)
}

pub(super) fn update(session: &Session<'_>, name: &str, description: &str) -> Result<RegisteredModel, Fault> {
    let key = key_of(session, name)?;
    let sql =
        "UPDATE registered_models SET description = ?2, last_update_time = ?3 WHERE registered_model = ?1";
    session.execute(sql, &[&key, &description, &now_ms()])?;
    get(session, name)
}

pub(super) fn delete(session: &Session<'_>, name: &str) -> Result<(), Fault> {
    let key = key_of(session, name)?;
    session.execute("DELETE FROM registered_models WHERE registered_model = ?1", &[&key])?;
    Ok(())
}

pub(super) fn set_tag(session: &Session<'_>, name: &str, tag: &Tag) -> Result<(), Fault> {
    session.upsert_texts(
        "registered_model_tags",
        "registered_model",
        key_of(session, name)?,
        std::slice::from_ref(tag),
    )
}

pub(super) fn delete_tag(session: &Session<'_>, name: &str, tag: &str) -> Result<(), Fault> {
    let key = key_of(session, name)?;
    let sql = "DELETE FROM registered_model_tags WHERE registered_model = ?1 AND key = ?2";
    session.execute(sql, &[&key, &tag])?;
    Ok(())
}

pub(super) fn set_alias(session: &Session<'_>, name: &str, alias: &str, version: u64) -> Result<(), Fault> {
    let model_version = model_versions::key_of(session, name, version)?;
    let sql = "INSERT INTO model_aliases (registered_model, alias, model_version) \
               SELECT registered_model, ?2, model_version FROM model_versions WHERE model_version = ?1 \
               ON CONFLICT (registered_model, alias) DO UPDATE SET model_version = excluded.model_version";
    session.execute(sql, &[&model_version, &alias])?;
    Ok(())
}

pub(super) fn delete_alias(session: &Session<'_>, name: &str, alias: &str) -> Result<(), Fault> {
    let key = key_of(session, name)?;
    let sql = "DELETE FROM model_aliases WHERE registered_model = ?1 AND alias = ?2";
    session.execute(sql, &[&key, &alias])?;
    Ok(())
}

/// The newest version of each of these stages, by number; of every stage where none is named.
pub(super) fn latest_versions(
    session: &Session<'_>,
    name: &str,
    stages: &[Stage],
) -> Result<Vec<ModelVersion>, Fault> {
    let mut versions = newest_of_stages(session, &[key_of(session, name)?])?;
    versions.retain(|version| stages.is_empty() || stages.contains(&version.current_stage));
    Ok(versions)
}

pub(super) fn prepare(search: &SearchRegistry) -> Result<Search, TrackingError> {
    Search::new(
        parse_filter(Scope::RegisteredModels, &search.filter)?,
        parse_order_by(Scope::RegisteredModels, &search.order_by)?,
        &[("name", false)],
        page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
        format!("registered models {:?} {:?}", search.filter, search.order_by),
        search.page_token.as_deref(),
    )
}

pub(super) fn search(session: &Session<'_>, search: &Search) -> Result<Page<RegisteredModel>, Fault> {
    let mut sql = Sql::new(session.dialect());
    sql.push("SELECT g.registered_model AS row_key, g.name");
    sql.push_order_columns(Scope::RegisteredModels, &search.order, session.artifact_root);
    sql.push(" FROM registered_models g WHERE 1 = 1");
    push_clauses_about_prompts(&mut sql, Scope::RegisteredModels, &search.clauses);
    let page = search.page_of_keys(session, sql)?;
    Ok(Page { items: load(session, &page.items)?, next_page_token: page.next_page_token })
}

/// ` AND …` for each clause. Prompts are left out unless a clause asks for them; what such a clause says is then settled.
pub(super) fn push_clauses_about_prompts(sql: &mut Sql, scope: Scope, clauses: &[Clause]) {
    let (wants_prompts, others) = settle_prompts(clauses);
    let (table, owner) = match scope {
        Scope::RegisteredModels => ("registered_model_tags", "g.registered_model"),
        _ => ("model_version_tags", "v.model_version"),
    };
    let column = owner.split_once('.').map_or(owner, |(_, column)| column);
    let negated = if wants_prompts { "" } else { "NOT " };
    sql.push(&format!(
        " AND {negated}EXISTS (SELECT 1 FROM {table} p WHERE p.{column} = {owner} AND p.value = 'true' AND p.key = "
    ));
    sql.bind(IS_PROMPT).push(")");
    sql.push_clauses(scope, &others, "");
}

/// Reads whole models, in the order of their row keys in `keys`.
fn load(session: &Session<'_>, keys: &[i64]) -> Result<Vec<RegisteredModel>, Fault> {
    let (list, in_keys) = (session.key_list(keys), session.in_keys());
    let sql = format!(
        "SELECT registered_model, name, creation_time, last_update_time, description FROM registered_models \
         WHERE registered_model {in_keys}"
    );
    let found = session.all(&sql, &[&list], |row| {
        let model = RegisteredModel {
            name: row.get(1)?,
            creation_timestamp: row.get(2)?,
            last_updated_timestamp: row.get(3)?,
            description: row.get(4)?,
            latest_versions: Vec::new(),
            tags: Vec::new(),
            aliases: Vec::new(),
        };
        Ok((row.get::<i64>(0)?, model))
    })?;
    let mut found: HashMap<i64, RegisteredModel> = found.into_iter().collect();
    for (key, tag, value) in session.texts("registered_model_tags", "registered_model", keys)? {
        if let Some(model) = found.get_mut(&key) {
            model.tags.push(Tag { key: tag, value });
        }
    }
    let sql = format!(
        "SELECT a.registered_model, a.alias, v.version FROM model_aliases a JOIN model_versions v USING (model_version) \
         WHERE a.registered_model {in_keys} ORDER BY a.registered_model, a.alias"
    );
    let read = |row: &Row<'_>| {
        let version = row.get::<i64>(2)?.cast_unsigned();
        Ok((row.get::<i64>(0)?, ModelAlias { alias: row.get(1)?, version }))
    };
    for (key, alias) in session.all(&sql, &[&list], read)? {
        if let Some(model) = found.get_mut(&key) {
            model.aliases.push(alias);
        }
    }
    let mut models: Vec<RegisteredModel> = keys.iter().filter_map(|key| found.remove(key)).collect();
    let mut newest: HashMap<String, Vec<ModelVersion>> = HashMap::new();
    for version in newest_of_stages(session, keys)? {
        newest.entry(version.name.clone()).or_default().push(version);
    }
    for model in &mut models {
        model.latest_versions = newest.remove(&model.name).unwrap_or_default();
    }
    Ok(models)
}

/// The newest version of each stage of these models, by number.
fn newest_of_stages(session: &Session<'_>, models: &[i64]) -> Result<Vec<ModelVersion>, Fault> {
    let in_keys = session.in_keys();
    let sql = format!(
        "SELECT v.model_version FROM model_versions v JOIN \
         (SELECT registered_model, stage, max(version) AS version FROM model_versions \
          WHERE registered_model {in_keys} GROUP BY registered_model, stage) AS newest \
         ON v.registered_model = newest.registered_model AND v.version = newest.version \
         ORDER BY v.registered_model, v.version"
    );
    let keys = session.all(&sql, &[&session.key_list(models)], |row| row.get(0))?;
    model_versions::load(session, &keys)
}

fn refuse_taken_name(session: &Session<'_>, name: &str) -> Result<(), Fault> {
    let sql = "SELECT 1 FROM registered_models WHERE name = ?1";
    match session.first(sql, &[&name], |_| Ok(()))? {
        None => Ok(()),
        Some(()) => Err(TrackingError::Exists { what: "registered model", name: name.to_owned() }.into()),
    }
}
