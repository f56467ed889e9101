//! Versions of registered models.

use std::collections::HashMap;

use super::{Fault, paging::Search, query::Sql, registered_models, session::Session};
use crate::{
    ModelVersion, NewModelVersion, Page, SearchRegistry, Stage, Tag, TrackingError,
    filter::{Scope, parse_filter, parse_order_by},
    limits::{invalid, page_size},
    now_ms,
};

/// Results of a page unless it is asked otherwise.
const USUAL_PAGE: usize = 10_000;
/// MLflow's largest page of versions.
const LARGEST_PAGE: usize = 200_000;
/// The alias that every model has: its newest version.
const LATEST: &str = "latest";

pub(super) fn create(session: &Session<'_>, new: &NewModelVersion) -> Result<ModelVersion, Fault> {
    let model = registered_models::key_of(session, &new.name)?;
    // A version of a logged model comes from that model's run.
    let run_id = match (&new.run_id, &new.model_id) {
        (None, Some(model_id)) => {
            let sql = "SELECT source_run_id FROM logged_models WHERE model_id = ?1";
            session.first(sql, &[model_id], |row| row.get::<Option<String>>(0))?.flatten()
        }
        (run_id, _) => run_id.clone(),
    };
    let now = now_ms();
    let sql = "UPDATE registered_models SET last_version = last_version + 1, last_update_time = ?2 \
               WHERE registered_model = ?1 RETURNING last_version";
    let version: Option<i64> = session.first(sql, &[&model, &now], |row| row.get(0))?;
    let version = version.ok_or_else(|| session.not_found("registered model", &new.name))?;
    let sql = "INSERT INTO model_versions (registered_model, version, creation_time, last_update_time, stage, description, \
               source, storage_location, run_id, run_link, model_id) \
               VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING model_version";
    let key = session.first(
        sql,
        &[
            &model,
            &version,
            &now,
            &Stage::None.as_str(),
            &new.description,
            &new.source,
            &new.storage_location,
            &run_id,
            &new.run_link,
            &new.model_id,
        ],
        |row| row.get(0),
    )?;
    let key = key.ok_or_else(|| not_found(session, &new.name, version.cast_unsigned()))?;
    session.upsert_texts("model_version_tags", "model_version", key, &new.tags)?;
    only(session, key, &new.name, version.cast_unsigned())
}

pub(super) fn get(session: &Session<'_>, name: &str, version: u64) -> Result<ModelVersion, Fault> {
    only(session, key_of(session, name, version)?, name, version)
}

pub(super) fn by_alias(session: &Session<'_>, name: &str, alias: &str) -> Result<ModelVersion, Fault> {
    let model = registered_models::key_of(session, name)?;
    if alias.eq_ignore_ascii_case(LATEST) {
        let sql = "SELECT max(version) FROM model_versions WHERE registered_model = ?1";
        let newest: Option<i64> = session.first(sql, &[&model], |row| row.get(0))?.flatten();
        let newest = newest.ok_or_else(|| session.not_found("version of the model", name))?;
        return get(session, name, newest.cast_unsigned());
    }
    let sql = "SELECT v.version FROM model_aliases a JOIN model_versions v USING (model_version) \
               WHERE a.registered_model = ?1 AND a.alias = ?2";
    let version: Option<i64> = session.first(sql, &[&model, &alias], |row| row.get(0))?;
    match version {
        Some(version) => get(session, name, version.cast_unsigned()),
        None => Err(invalid("alias", alias, &format!("model {name:?} has no such alias")).into()),
    }
}

/// Row key of a version.
pub(super) fn key_of(session: &Session<'_>, name: &str, version: u64) -> Result<i64, Fault> {
    let sql = "SELECT v.model_version FROM model_versions v JOIN registered_models g USING (registered_model) \
               WHERE g.name = ?1 AND v.version = ?2";
    // What is beyond the database's numbers is no version.
    let found = match i64::try_from(version) {
        Ok(version) => session.first(sql, &[&name, &version], |row| row.get(0))?,
        Err(_) => None,
    };
    found.ok_or_else(|| not_found(session, name, version))
}

fn not_found(session: &Session<'_>, name: &str, version: u64) -> Fault {
    session.not_found("model version", &format!("{name}/{version}"))
}

pub(super) fn update(
    session: &Session<'_>,
    name: &str,
    version: u64,
    description: &str,
) -> Result<ModelVersion, Fault> {
    let key = key_of(session, name, version)?;
    let sql = "UPDATE model_versions SET description = ?2, last_update_time = ?3 WHERE model_version = ?1";
    session.execute(sql, &[&key, &description, &now_ms()])?;
    only(session, key, name, version)
}

pub(super) fn transition(
    session: &Session<'_>,
    name: &str,
    version: u64,
    stage: Stage,
    archive_existing: bool,
) -> Result<ModelVersion, Fault> {
    let key = key_of(session, name, version)?;
    let now = now_ms();
    // First, so that another transition of this model waits here and then sees what this one has done.
    touch_model(session, key, now)?;
    if archive_existing {
        let sql = "UPDATE model_versions SET stage = ?3, last_update_time = ?4 \
                   WHERE registered_model = (SELECT registered_model FROM model_versions WHERE model_version = ?1) \
                   AND stage = ?2 AND model_version <> ?1";
        session.execute(sql, &[&key, &stage.as_str(), &Stage::Archived.as_str(), &now])?;
    }
    let sql = "UPDATE model_versions SET stage = ?2, last_update_time = ?3 WHERE model_version = ?1";
    session.execute(sql, &[&key, &stage.as_str(), &now])?;
    only(session, key, name, version)
}

pub(super) fn delete(session: &Session<'_>, name: &str, version: u64) -> Result<(), Fault> {
    let key = key_of(session, name, version)?;
    touch_model(session, key, now_ms())?;
    session.execute("DELETE FROM model_versions WHERE model_version = ?1", &[&key])?;
    Ok(())
}

fn touch_model(session: &Session<'_>, key: i64, now: i64) -> Result<(), Fault> {
    let sql = "UPDATE registered_models SET last_update_time = ?2 \
               WHERE registered_model = (SELECT registered_model FROM model_versions WHERE model_version = ?1)";
    session.execute(sql, &[&key, &now])?;
    Ok(())
}

pub(super) fn set_tag(session: &Session<'_>, name: &str, version: u64, tag: &Tag) -> Result<(), Fault> {
    session.upsert_texts(
        "model_version_tags",
        "model_version",
        key_of(session, name, version)?,
        std::slice::from_ref(tag),
    )
}

pub(super) fn delete_tag(session: &Session<'_>, name: &str, version: u64, tag: &str) -> Result<(), Fault> {
    let key = key_of(session, name, version)?;
    session.execute("DELETE FROM model_version_tags WHERE model_version = ?1 AND key = ?2", &[&key, &tag])?;
    Ok(())
}

pub(super) fn prepare(search: &SearchRegistry) -> Result<Search, TrackingError> {
    Search::new(
        parse_filter(Scope::ModelVersions, &search.filter)?,
        parse_order_by(Scope::ModelVersions, &search.order_by)?,
        &[("name", false), ("version", true)],
        page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
        format!("model versions {:?} {:?}", search.filter, search.order_by),
        search.page_token.as_deref(),
    )
}

pub(super) fn search(session: &Session<'_>, search: &Search) -> Result<Page<ModelVersion>, Fault> {
    let mut sql = Sql::new(session.dialect());
    sql.push("SELECT v.model_version AS row_key, g.name, v.version");
    sql.push_order_columns(Scope::ModelVersions, &search.order, session.artifact_root);
    sql.push(" FROM model_versions v JOIN registered_models g USING (registered_model) WHERE 1 = 1");
    registered_models::push_clauses_about_prompts(&mut sql, Scope::ModelVersions, &search.clauses);
    let page = search.page_of_keys(session, sql)?;
    Ok(Page { items: load(session, &page.items)?, next_page_token: page.next_page_token })
}

fn only(session: &Session<'_>, key: i64, name: &str, version: u64) -> Result<ModelVersion, Fault> {
    load(session, &[key])?.pop().ok_or_else(|| not_found(session, name, version))
}

/// Reads whole versions, in the order of their row keys in `keys`.
pub(super) fn load(session: &Session<'_>, keys: &[i64]) -> Result<Vec<ModelVersion>, Fault> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let (list, in_keys) = (session.key_list(keys), session.in_keys());
    let sql = format!(
        "SELECT v.model_version, g.name, v.version, v.creation_time, v.last_update_time, v.stage, v.description, v.source, \
         v.storage_location, v.run_id, v.run_link, v.model_id \
         FROM model_versions v JOIN registered_models g USING (registered_model) WHERE v.model_version {in_keys}"
    );
    let found = session.all(&sql, &[&list], |row| {
        let version = ModelVersion {
            name: row.get(1)?,
            version: row.get::<i64>(2)?.cast_unsigned(),
            creation_timestamp: row.get(3)?,
            last_updated_timestamp: row.get(4)?,
            current_stage: row.get::<String>(5)?.parse()?,
            description: row.get(6)?,
            source: row.get(7)?,
            storage_location: row.get(8)?,
            run_id: row.get(9)?,
            run_link: row.get(10)?,
            model_id: row.get(11)?,
            tags: Vec::new(),
            aliases: Vec::new(),
        };
        Ok((row.get::<i64>(0)?, version))
    })?;
    let mut found: HashMap<i64, ModelVersion> = found.into_iter().collect();
    for (key, tag, value) in session.texts("model_version_tags", "model_version", keys)? {
        if let Some(version) = found.get_mut(&key) {
            version.tags.push(Tag { key: tag, value });
        }
    }
    let sql = format!(
        "SELECT model_version, alias FROM model_aliases WHERE model_version {in_keys} ORDER BY model_version, alias"
    );
    for (key, alias) in session.all(&sql, &[&list], |row| Ok((row.get::<i64>(0)?, row.get(1)?)))? {
        if let Some(version) = found.get_mut(&key) {
            version.aliases.push(alias);
        }
    }
    Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
}
