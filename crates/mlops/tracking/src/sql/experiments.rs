//! Experiments.

use std::collections::HashMap;

use super::{
    Fault,
    dialect::Lock,
    metrics,
    session::{Row, Session},
};
use crate::{Experiment, LifecycleStage, NewExperiment, Tag, TrackingError, limits::invalid, now_ms};

/// The columns that [`from_row`] reads.
const COLUMNS: &str = "e.experiment_id, e.name, e.artifact_location, e.creation_time, e.last_update_time, e.deleted_time IS NOT NULL";

pub(super) fn create(session: &Session<'_>, new: &NewExperiment) -> Result<Experiment, Fault> {
    refuse_taken_name(session, &new.name)?;
    let now = now_ms();
    let location = new.artifact_location.as_deref().map(|location| location.trim_end_matches('/'));
    let sql = "INSERT INTO experiments (name, artifact_location, creation_time, last_update_time) VALUES (?1, ?2, ?3, ?3) \
               RETURNING experiment_id";
    let experiment = session.first(sql, &[&new.name, &location, &now], |row| row.get::<i64>(0))?;
    let experiment = experiment.ok_or_else(|| session.not_found("experiment", &new.name))?;
    upsert_tags(session, experiment, &new.tags)?;
    get(session, &experiment.to_string())
}

pub(super) fn get(session: &Session<'_>, experiment_id: &str) -> Result<Experiment, Fault> {
    let (experiment, _) = session.any_experiment(experiment_id, Lock::None)?;
    load(session, &[experiment])?.pop().ok_or_else(|| session.not_found("experiment", experiment_id))
}

pub(super) fn find(session: &Session<'_>, name: &str) -> Result<Option<Experiment>, Fault> {
    let sql = "SELECT experiment_id FROM experiments WHERE name = ?1";
    let id = session.first(sql, &[&name], |row| row.get::<i64>(0))?;
    id.map(|id| get(session, &id.to_string())).transpose()
}

pub(super) fn rename(session: &Session<'_>, experiment_id: &str, name: &str) -> Result<(), Fault> {
    let experiment = session.active_experiment(experiment_id, Lock::Exclusive)?;
    let sql = "SELECT name FROM experiments WHERE experiment_id = ?1";
    if session.first(sql, &[&experiment], |row| row.get::<String>(0))?.as_deref() == Some(name) {
        return Ok(());
    }
    refuse_taken_name(session, name)?;
    let sql = "UPDATE experiments SET name = ?2, last_update_time = ?3 WHERE experiment_id = ?1";
    session.execute(sql, &[&experiment, &name, &now_ms()])?;
    Ok(())
}

pub(super) fn delete(session: &Session<'_>, experiment_id: &str) -> Result<(), Fault> {
    let experiment = session.active_experiment(experiment_id, Lock::Exclusive)?;
    let now = now_ms();
    let sql = "UPDATE experiments SET deleted_time = ?2, last_update_time = ?2 WHERE experiment_id = ?1";
    session.execute(sql, &[&experiment, &now])?;
    let sql = "UPDATE runs SET deleted_time = ?2, deleted_with_experiment = 1 WHERE experiment_id = ?1 AND deleted_time IS NULL";
    session.execute(sql, &[&experiment, &now])?;
    Ok(())
}

pub(super) fn restore(session: &Session<'_>, experiment_id: &str) -> Result<(), Fault> {
    let (experiment, deleted) = session.any_experiment(experiment_id, Lock::Exclusive)?;
    if !deleted {
        return Err(invalid("experiment", experiment_id, "it is not deleted").into());
    }
    let sql = "UPDATE experiments SET deleted_time = NULL, last_update_time = ?2 WHERE experiment_id = ?1";
    session.execute(sql, &[&experiment, &now_ms()])?;
    let sql = "UPDATE runs SET deleted_time = NULL, deleted_with_experiment = 0 WHERE experiment_id = ?1 AND deleted_with_experiment = 1";
    session.execute(sql, &[&experiment])?;
    Ok(())
}

pub(super) fn purge(session: &Session<'_>, experiment_id: &str) -> Result<(), Fault> {
    let (experiment, deleted) = session.any_experiment(experiment_id, Lock::Exclusive)?;
    if !deleted {
        return Err(
            invalid("experiment", experiment_id, "delete it before its rows are removed for good").into()
        );
    }
    let sql = "SELECT run FROM runs WHERE experiment_id = ?1";
    let runs = session.all(sql, &[&experiment], |row| row.get(0))?;
    session.execute("DELETE FROM experiments WHERE experiment_id = ?1", &[&experiment])?;
    metrics::delete(session, &runs)
}

pub(super) fn set_tag(session: &Session<'_>, experiment_id: &str, tag: &Tag) -> Result<(), Fault> {
    let experiment = session.active_experiment(experiment_id, Lock::Exclusive)?;
    upsert_tags(session, experiment, std::slice::from_ref(tag))?;
    touch(session, experiment)
}

pub(super) fn delete_tag(session: &Session<'_>, experiment_id: &str, key: &str) -> Result<(), Fault> {
    let experiment = session.active_experiment(experiment_id, Lock::Exclusive)?;
    let sql = "DELETE FROM experiment_tags WHERE experiment_id = ?1 AND key = ?2";
    match session.execute(sql, &[&experiment, &key])? {
        0 => Err(session.not_found("tag", key)),
        _ => touch(session, experiment),
    }
}

/// Reads whole experiments, in the order of their ids in `keys`.
pub(super) fn load(session: &Session<'_>, keys: &[i64]) -> Result<Vec<Experiment>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM experiments e WHERE e.experiment_id {}", session.in_keys());
    let found = session.all(&sql, &[&session.key_list(keys)], |row| from_row(session, row))?;
    let mut found: HashMap<i64, Experiment> = found.into_iter().collect();
    for (experiment, key, value) in session.texts("experiment_tags", "experiment_id", keys)? {
        if let Some(experiment) = found.get_mut(&experiment) {
            experiment.tags.push(Tag { key, value });
        }
    }
    Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
}

/// Reads [`COLUMNS`]: the row key and the experiment; the tags are left empty.
fn from_row(session: &Session<'_>, row: &Row<'_>) -> Result<(i64, Experiment), Fault> {
    let key: i64 = row.get(0)?;
    let experiment_id = key.to_string();
    let experiment = Experiment {
        artifact_location: session.artifact_location(row.get(2)?, &experiment_id),
        experiment_id,
        name: row.get(1)?,
        creation_time: row.get(3)?,
        last_update_time: row.get(4)?,
        lifecycle_stage: if row.get(5)? { LifecycleStage::Deleted } else { LifecycleStage::Active },
        tags: Vec::new(),
    };
    Ok((key, experiment))
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

fn upsert_tags(session: &Session<'_>, experiment: i64, tags: &[Tag]) -> Result<(), Fault> {
    session.upsert_texts("experiment_tags", "experiment_id", experiment, tags)
}

fn touch(session: &Session<'_>, experiment: i64) -> Result<(), Fault> {
    let sql = "UPDATE experiments SET last_update_time = ?2 WHERE experiment_id = ?1";
    session.execute(sql, &[&experiment, &now_ms()])?;
    Ok(())
}
