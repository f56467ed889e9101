//! Experiments in SQLite.

use std::collections::HashMap;

use rusqlite::{OptionalExtension as _, Row, params};

use super::{error::Fault, session::Session};
use crate::{Experiment, LifecycleStage, NewExperiment, Tag, TrackingError, limits::invalid, now_ms};

/// The columns that [`from_row`] reads.
pub(super) const COLUMNS: &str = "e.experiment_id, e.name, e.artifact_location, e.creation_time, e.last_update_time, e.deleted_time IS NOT NULL";

pub(super) fn create(session: &Session<'_>, new: &NewExperiment) -> Result<Experiment, Fault> {
    refuse_taken_name(session, &new.name)?;
    let now = now_ms();
    let location = new.artifact_location.as_deref().map(|location| location.trim_end_matches('/'));
    session.sql.execute(
        "INSERT INTO experiments (name, artifact_location, creation_time, last_update_time) VALUES (?1, ?2, ?3, ?3)",
        params![new.name, location, now],
    )?;
    let experiment = session.sql.last_insert_rowid();
    for tag in &new.tags {
        upsert_tag(session, experiment, tag)?;
    }
    get(session, &experiment.to_string())
}

pub(super) fn get(session: &Session<'_>, experiment_id: &str) -> Result<Experiment, Fault> {
    let (experiment, _) = session.any_experiment(experiment_id)?;
    let sql = format!("SELECT {COLUMNS} FROM experiments e WHERE experiment_id = ?");
    let mut found =
        session.sql.prepare_cached(&sql)?.query_row([experiment], |row| from_row(session, row))?;
    attach_tags(session, std::slice::from_mut(&mut found))?;
    Ok(found)
}

pub(super) fn find(session: &Session<'_>, name: &str) -> Result<Option<Experiment>, Fault> {
    let sql = "SELECT experiment_id FROM experiments WHERE name = ?";
    let id = session.sql.prepare_cached(sql)?.query_row([name], |row| row.get::<_, i64>(0)).optional()?;
    id.map(|id| get(session, &id.to_string())).transpose()
}

pub(super) fn rename(session: &Session<'_>, experiment_id: &str, name: &str) -> Result<(), Fault> {
    let experiment = session.active_experiment(experiment_id)?;
    let own = session.sql.query_row(
        "SELECT name FROM experiments WHERE experiment_id = ?",
        [experiment],
        |row| row.get::<_, String>(0),
    )?;
    if own == name {
        return Ok(());
    }
    refuse_taken_name(session, name)?;
    let sql = "UPDATE experiments SET name = ?2, last_update_time = ?3 WHERE experiment_id = ?1";
    session.sql.execute(sql, params![experiment, name, now_ms()])?;
    Ok(())
}

pub(super) fn delete(session: &Session<'_>, experiment_id: &str) -> Result<(), Fault> {
    let experiment = session.active_experiment(experiment_id)?;
    let now = now_ms();
    let sql = "UPDATE experiments SET deleted_time = ?2, last_update_time = ?2 WHERE experiment_id = ?1";
    session.sql.execute(sql, [experiment, now])?;
    let sql = "UPDATE runs SET deleted_time = ?2, deleted_with_experiment = 1 WHERE experiment_id = ?1 AND deleted_time IS NULL";
    session.sql.execute(sql, [experiment, now])?;
    Ok(())
}

pub(super) fn restore(session: &Session<'_>, experiment_id: &str) -> Result<(), Fault> {
    let (experiment, deleted) = session.any_experiment(experiment_id)?;
    if !deleted {
        return Err(invalid("experiment", experiment_id, "it is not deleted").into());
    }
    let sql = "UPDATE experiments SET deleted_time = NULL, last_update_time = ?2 WHERE experiment_id = ?1";
    session.sql.execute(sql, [experiment, now_ms()])?;
    let sql = "UPDATE runs SET deleted_time = NULL, deleted_with_experiment = 0 WHERE experiment_id = ?1 AND deleted_with_experiment = 1";
    session.sql.execute(sql, [experiment])?;
    Ok(())
}

pub(super) fn purge(session: &Session<'_>, experiment_id: &str) -> Result<(), Fault> {
    let (experiment, deleted) = session.any_experiment(experiment_id)?;
    if !deleted {
        return Err(
            invalid("experiment", experiment_id, "delete it before its rows are removed for good").into()
        );
    }
    session.sql.execute("DELETE FROM experiments WHERE experiment_id = ?", [experiment])?;
    Ok(())
}

pub(super) fn set_tag(session: &Session<'_>, experiment_id: &str, tag: &Tag) -> Result<(), Fault> {
    let experiment = session.active_experiment(experiment_id)?;
    upsert_tag(session, experiment, tag)?;
    touch(session, experiment)
}

pub(super) fn delete_tag(session: &Session<'_>, experiment_id: &str, key: &str) -> Result<(), Fault> {
    let experiment = session.active_experiment(experiment_id)?;
    let sql = "DELETE FROM experiment_tags WHERE experiment_id = ? AND key = ?";
    match session.sql.execute(sql, params![experiment, key])? {
        0 => Err(session.not_found("tag", key)),
        _ => touch(session, experiment),
    }
}

/// Reads [`COLUMNS`]; the tags are left empty.
pub(super) fn from_row(session: &Session<'_>, row: &Row<'_>) -> rusqlite::Result<Experiment> {
    let experiment_id = row.get::<_, i64>(0)?.to_string();
    Ok(Experiment {
        artifact_location: session.artifact_location(row.get(2)?, &experiment_id),
        experiment_id,
        name: row.get(1)?,
        creation_time: row.get(3)?,
        last_update_time: row.get(4)?,
        lifecycle_stage: if row.get(5)? { LifecycleStage::Deleted } else { LifecycleStage::Active },
        tags: Vec::new(),
    })
}

/// Fills in the tags of experiments.
pub(super) fn attach_tags(session: &Session<'_>, experiments: &mut [Experiment]) -> Result<(), Fault> {
    let ids = experiments.iter().map(|experiment| experiment.experiment_id.as_str());
    let list = format!("[{}]", ids.collect::<Vec<_>>().join(","));
    let sql = "SELECT experiment_id, key, value FROM experiment_tags \
               WHERE experiment_id IN (SELECT value FROM json_each(?)) ORDER BY experiment_id, key";
    let mut statement = session.sql.prepare_cached(sql)?;
    let mut tags: HashMap<String, Vec<Tag>> = HashMap::new();
    let mut rows = statement.query([list])?;
    while let Some(row) = rows.next()? {
        let tag = Tag { key: row.get(1)?, value: row.get(2)? };
        tags.entry(row.get::<_, i64>(0)?.to_string()).or_default().push(tag);
    }
    for experiment in experiments {
        experiment.tags = tags.remove(&experiment.experiment_id).unwrap_or_default();
    }
    Ok(())
}

fn refuse_taken_name(session: &Session<'_>, name: &str) -> Result<(), Fault> {
    match find(session, name)? {
        None => Ok(()),
        Some(taken) => {
            let deleted = taken.lifecycle_stage == LifecycleStage::Deleted;
            Err(TrackingError::ExperimentExists { name: name.to_owned(), deleted }.into())
        }
    }
}

fn upsert_tag(session: &Session<'_>, experiment: i64, tag: &Tag) -> Result<(), Fault> {
    let sql = "INSERT INTO experiment_tags (experiment_id, key, value) VALUES (?, ?, ?) \
               ON CONFLICT DO UPDATE SET value = excluded.value";
    session.sql.prepare_cached(sql)?.execute(params![experiment, tag.key, tag.value])?;
    Ok(())
}

fn touch(session: &Session<'_>, experiment: i64) -> Result<(), Fault> {
    let sql = "UPDATE experiments SET last_update_time = ?2 WHERE experiment_id = ?1";
    session.sql.execute(sql, [experiment, now_ms()])?;
    Ok(())
}
