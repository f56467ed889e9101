//! Runs.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Bind, Fault,
    dialect::Lock,
    lineage, log, metrics,
    session::{Row, Session},
};
use crate::{
    LifecycleStage, NewRun, Param, Run, RunData, RunInfo, RunInputs, RunStatus, RunUpdate, Tag,
    limits::invalid, now_ms, run_name,
};

/// The columns that [`from_row`] reads, from `runs r JOIN experiments e`.
const COLUMNS: &str = "r.run, r.run_id, r.experiment_id, r.run_name, r.user_id, r.status, r.start_time, r.end_time, \
     r.deleted_time, e.artifact_location";

pub(super) fn create(session: &Session<'_>, new: &NewRun, name: &str) -> Result<Run, Fault> {
    let experiment = session.active_experiment(&new.experiment_id, Lock::Shared)?;
    let run_id = Uuid::new_v4().simple().to_string();
    let start_time = new.start_time.unwrap_or_else(now_ms);
    let sql = "INSERT INTO runs (run_id, experiment_id, run_name, user_id, status, start_time) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING run";
    let values: [&dyn Bind; 6] =
        [&run_id, &experiment, &name, &new.user_id, &new.status.as_str(), &start_time];
    let run = session.first(sql, &values, |row| row.get(0))?;
    let run = run.ok_or_else(|| session.not_found("run", &run_id))?;
    let mut tags = new.tags.clone();
    tags.push(Tag::new(run_name::TAG, name));
    session.upsert_texts("tags", "run", run, &tags)?;
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
    session.execute(sql, &[&run, &update.status.map(RunStatus::as_str), &update.end_time])?;
    if let Some(name) = &update.run_name {
        log::upsert_tags(session, run, &[Tag::new(run_name::TAG, name.as_str())])?;
    }
    info(session, run)
}

pub(super) fn delete(session: &Session<'_>, run_id: &str) -> Result<(), Fault> {
    let run = session.active_run(run_id)?;
    session.execute("UPDATE runs SET deleted_time = ?2 WHERE run = ?1", &[&run, &now_ms()])?;
    Ok(())
}

pub(super) fn restore(session: &Session<'_>, run_id: &str) -> Result<(), Fault> {
    let info = info(session, session.any_run(run_id)?)?;
    if info.lifecycle_stage == LifecycleStage::Active {
        return Err(invalid("run", run_id, "it is not deleted").into());
    }
    session.active_experiment(&info.experiment_id, Lock::Shared)?;
    let sql = "UPDATE runs SET deleted_time = NULL, deleted_with_experiment = 0 WHERE run_id = ?1";
    session.execute(sql, &[&run_id])?;
    Ok(())
}

pub(super) fn purge(session: &Session<'_>, run_id: &str) -> Result<(), Fault> {
    let run = session.any_run(run_id)?;
    match session.execute("DELETE FROM runs WHERE run = ?1 AND deleted_time IS NOT NULL", &[&run])? {
        0 => Err(invalid("run", run_id, "delete it before its rows are removed for good").into()),
        _ => metrics::delete(session, &[run]),
    }
}

fn info(session: &Session<'_>, run: i64) -> Result<RunInfo, Fault> {
    let sql =
        format!("SELECT {COLUMNS} FROM runs r JOIN experiments e USING (experiment_id) WHERE r.run = ?1");
    let found = session.first(&sql, &[&run], |row| from_row(session, row))?;
    found.map(|(_, info)| info).ok_or_else(|| session.not_found("run", &run.to_string()))
}

/// Reads whole runs, in the order of their row keys in `keys`.
pub(super) fn load(session: &Session<'_>, keys: &[i64]) -> Result<Vec<Run>, Fault> {
    let (list, in_keys) = (session.key_list(keys), session.in_keys());
    let sql = format!(
        "SELECT {COLUMNS} FROM runs r JOIN experiments e USING (experiment_id) WHERE r.run {in_keys}"
    );
    let found = session.all(&sql, &[&list], |row| {
        let (run, info) = from_row(session, row)?;
        let (data, inputs) = (RunData::default(), RunInputs::default());
        Ok((run, Run { info, data, inputs, outputs: Vec::new() }))
    })?;
    let mut found: HashMap<i64, Run> = found.into_iter().collect();

    let sql = format!(
        "SELECT m.run, k.key, m.step, m.timestamp, m.axis, m.is_nan, m.value \
         FROM latest_metrics m JOIN metric_keys k USING (metric_key) WHERE m.run {in_keys}"
    );
    session.all(&sql, &[&list], |row| {
        if let Some(run) = found.get_mut(&row.get(0)?) {
            run.data.metrics.push(metrics::from_row(row.get(1)?, row, 2)?);
        }
        Ok(())
    })?;
    for (run, key, value) in session.texts("params", "run", keys)? {
        if let Some(run) = found.get_mut(&run) {
            run.data.params.push(Param { key, value });
        }
    }
    for (run, key, value) in session.texts("tags", "run", keys)? {
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

/// Reads [`COLUMNS`]: the row key, and what describes the run.
fn from_row(session: &Session<'_>, row: &Row<'_>) -> Result<(i64, RunInfo), Fault> {
    let run_id: String = row.get(1)?;
    let experiment_id = row.get::<i64>(2)?.to_string();
    let deleted_time: Option<i64> = row.get(8)?;
    let location = session.artifact_location(row.get(9)?, &experiment_id);
    let info = RunInfo {
        artifact_uri: format!("{location}/{run_id}/artifacts"),
        run_id,
        experiment_id,
        run_name: row.get(3)?,
        user_id: row.get(4)?,
        status: row.get::<String>(5)?.parse()?,
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
