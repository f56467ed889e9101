//! Runs in SQLite.

use std::collections::HashMap;

use rusqlite::{Row, params, types::Type};
use uuid::Uuid;

use super::{error::Fault, lineage, log, session::Session};
use crate::{
    Axis, LifecycleStage, Metric, NewRun, Param, Run, RunData, RunInfo, RunInputs, RunStatus, RunUpdate, Tag,
    TrackingError,
    limits::{self, invalid},
    now_ms, run_name,
};

/// The columns that [`from_row`] reads, from `runs r JOIN experiments e`.
pub(super) const COLUMNS: &str = "r.run, r.run_id, r.experiment_id, r.run_name, r.user_id, r.status, r.start_time, r.end_time, \
     r.deleted_time, e.artifact_location";

/// The name of a new run: its own, that of its tag (the two must agree), or a made-up one.
pub(super) fn name_of_new_run(new: &NewRun) -> Result<String, TrackingError> {
    let tag = new.tags.iter().find(|tag| tag.key == run_name::TAG).map(|tag| tag.value.as_str());
    let name = new.run_name.as_deref().filter(|name| !name.is_empty());
    match (name, tag) {
        (Some(name), Some(tag)) if name != tag => Err(invalid(
            "run name",
            name,
            &format!("the tag {} says {tag:?}; give one of the two", run_name::TAG),
        )),
        (Some(name), _) => {
            limits::check_tags(&[Tag::new(run_name::TAG, name)])?;
            Ok(name.to_owned())
        }
        (None, Some(tag)) => Ok(tag.to_owned()),
        (None, None) => Ok(run_name::random()),
    }
}

pub(super) fn create(session: &Session<'_>, new: &NewRun, name: &str) -> Result<Run, Fault> {
    let experiment = session.active_experiment(&new.experiment_id)?;
    let run_id = Uuid::new_v4().simple().to_string();
    let start_time = new.start_time.unwrap_or_else(now_ms);
    session.sql.execute(
        "INSERT INTO runs (run_id, experiment_id, run_name, user_id, status, start_time) VALUES (?, ?, ?, ?, ?, ?)",
        params![run_id, experiment, name, new.user_id, new.status.as_str(), start_time],
    )?;
    let run = session.sql.last_insert_rowid();
    log::upsert_tags(session, run, &new.tags)?;
    log::upsert_tags(session, run, &[Tag::new(run_name::TAG, name)])?;
    get(session, &run_id)
}

pub(super) fn get(session: &Session<'_>, run_id: &str) -> Result<Run, Fault> {
    let run = session.any_run(run_id)?;
    let mut runs = load(session, &[run])?;
    runs.pop().ok_or_else(|| session.not_found("run", run_id))
}

pub(super) fn update(session: &Session<'_>, run_id: &str, update: &RunUpdate) -> Result<RunInfo, Fault> {
    let run = session.active_run(run_id)?;
    let sql =
        "UPDATE runs SET status = coalesce(?2, status), end_time = coalesce(?3, end_time) WHERE run = ?1";
    session.sql.execute(sql, params![run, update.status.map(RunStatus::as_str), update.end_time])?;
    if let Some(name) = &update.run_name {
        log::upsert_tags(session, run, &[Tag::new(run_name::TAG, name.as_str())])?;
    }
    info(session, run)
}

pub(super) fn delete(session: &Session<'_>, run_id: &str) -> Result<(), Fault> {
    let run = session.active_run(run_id)?;
    session.sql.execute("UPDATE runs SET deleted_time = ?2 WHERE run = ?1", [run, now_ms()])?;
    Ok(())
}

pub(super) fn restore(session: &Session<'_>, run_id: &str) -> Result<(), Fault> {
    let info = info(session, session.any_run(run_id)?)?;
    if info.lifecycle_stage == LifecycleStage::Active {
        return Err(invalid("run", run_id, "it is not deleted").into());
    }
    session.active_experiment(&info.experiment_id)?;
    let sql = "UPDATE runs SET deleted_time = NULL, deleted_with_experiment = 0 WHERE run_id = ?";
    session.sql.execute(sql, [run_id])?;
    Ok(())
}

pub(super) fn purge(session: &Session<'_>, run_id: &str) -> Result<(), Fault> {
    let run = session.any_run(run_id)?;
    match session.sql.execute("DELETE FROM runs WHERE run = ? AND deleted_time IS NOT NULL", [run])? {
        0 => Err(invalid("run", run_id, "delete it before its rows are removed for good").into()),
        _ => Ok(()),
    }
}

fn info(session: &Session<'_>, run: i64) -> Result<RunInfo, Fault> {
    let sql =
        format!("SELECT {COLUMNS} FROM runs r JOIN experiments e USING (experiment_id) WHERE r.run = ?");
    Ok(session.sql.prepare_cached(&sql)?.query_row([run], |row| from_row(session, row))?.1)
}

/// Reads whole runs, in the order of their row keys in `keys`.
pub(super) fn load(session: &Session<'_>, keys: &[i64]) -> Result<Vec<Run>, Fault> {
    let list = format!("[{}]", keys.iter().map(i64::to_string).collect::<Vec<_>>().join(","));
    let mut found: HashMap<i64, Run> = HashMap::with_capacity(keys.len());
    let sql = format!(
        "SELECT {COLUMNS} FROM runs r JOIN experiments e USING (experiment_id) \
         WHERE r.run IN (SELECT value FROM json_each(?))"
    );
    let mut statement = session.sql.prepare_cached(&sql)?;
    let mut rows = statement.query([&list])?;
    while let Some(row) = rows.next()? {
        let (run, info) = from_row(session, row)?;
        found.insert(
            run,
            Run { info, data: RunData::default(), inputs: RunInputs::default(), outputs: Vec::new() },
        );
    }

    let sql = "SELECT m.run, k.key, m.step, m.timestamp, m.axis, m.is_nan, m.value \
               FROM latest_metrics m JOIN metric_keys k USING (metric_key) \
               WHERE m.run IN (SELECT value FROM json_each(?))";
    let mut statement = session.sql.prepare_cached(sql)?;
    let mut rows = statement.query([&list])?;
    while let Some(row) = rows.next()? {
        if let Some(run) = found.get_mut(&row.get(0)?) {
            run.data.metrics.push(metric_from_row(row.get(1)?, row, 2)?);
        }
    }
    for (run, key, value) in texts(session, "params", &list)? {
        if let Some(run) = found.get_mut(&run) {
            run.data.params.push(Param { key, value });
        }
    }
    for (run, key, value) in texts(session, "tags", &list)? {
        if let Some(run) = found.get_mut(&run) {
            run.data.tags.push(Tag { key, value });
        }
    }

    lineage::attach(session, &mut found)?;

    let mut runs: Vec<Run> = keys.iter().filter_map(|key| found.remove(key)).collect();
    for run in &mut runs {
        run.data.metrics.sort_by(|left, right| left.key.cmp(&right.key));
    }
    Ok(runs)
}

/// Rows `(run, key, value)` of `params` or `tags`, for the runs in the JSON list, sorted by key within a run.
fn texts(session: &Session<'_>, table: &str, runs: &str) -> Result<Vec<(i64, String, String)>, Fault> {
    let sql = format!(
        "SELECT run, key, value FROM {table} WHERE run IN (SELECT value FROM json_each(?)) ORDER BY run, key"
    );
    let mut statement = session.sql.prepare_cached(&sql)?;
    let rows = statement.query_map([runs], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads [`COLUMNS`]: the row key, and what describes the run.
fn from_row(session: &Session<'_>, row: &Row<'_>) -> rusqlite::Result<(i64, RunInfo)> {
    let run_id: String = row.get(1)?;
    let experiment_id = row.get::<_, i64>(2)?.to_string();
    let status: String = row.get(5)?;
    let status = status.parse().map_err(|error: TrackingError| {
        rusqlite::Error::FromSqlConversionFailure(5, Type::Text, Box::new(error))
    })?;
    let deleted_time: Option<i64> = row.get(8)?;
    let location = session.artifact_location(row.get(9)?, &experiment_id);
    let info = RunInfo {
        artifact_uri: format!("{location}/{run_id}/artifacts"),
        run_id,
        experiment_id,
        run_name: row.get(3)?,
        user_id: row.get(4)?,
        status,
        start_time: row.get(6)?,
        end_time: row.get(7)?,
        lifecycle_stage: if deleted_time.is_some() {
            LifecycleStage::Deleted
        } else {
            LifecycleStage::Active
        },
        deleted_time,
    };
    Ok((row.get(0)?, info))
}

/// Reads `step, timestamp, axis, is_nan, value` from column `first` on.
pub(super) fn metric_from_row(key: String, row: &Row<'_>, first: usize) -> rusqlite::Result<Metric> {
    let axis = match row.get::<_, i64>(first + 2)? {
        1 => Axis::Epoch,
        2 => Axis::Sample,
        _ => Axis::Step,
    };
    let value = if row.get(first + 3)? { f64::NAN } else { row.get(first + 4)? };
    Ok(Metric { key, value, timestamp: row.get(first + 1)?, step: row.get(first)?, axis })
}
