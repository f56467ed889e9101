//! What a run logs: metrics, params and tags, written to SQLite.

use std::{cmp::Ordering, collections::HashMap};

use rusqlite::{OptionalExtension as _, params};

use super::{error::Fault, logged_models, session::Session};
use crate::{Axis, Metric, Param, RunBatch, Tag, TrackingError, limits::invalid, run_name};

pub(super) fn batch(session: &Session<'_>, run_id: &str, batch: &RunBatch) -> Result<(), Fault> {
    let run = session.active_run(run_id)?;
    insert_params(session, run, run_id, &batch.params)?;
    upsert_tags(session, run, &batch.tags)?;
    insert_metrics(session, run, &batch.metrics)?;
    logged_models::log_metrics(session, run, &batch.model_metrics)
}

/// Sets tags; the one that holds the run's name renames the run.
pub(super) fn upsert_tags(session: &Session<'_>, run: i64, tags: &[Tag]) -> Result<(), Fault> {
    let sql = "INSERT INTO tags (run, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
    let mut statement = session.sql.prepare_cached(sql)?;
    for tag in tags {
        statement.execute(params![run, tag.key, tag.value])?;
        if tag.key == run_name::TAG {
            session.sql.execute("UPDATE runs SET run_name = ?2 WHERE run = ?1", params![run, tag.value])?;
        }
    }
    Ok(())
}

pub(super) fn delete_tag(session: &Session<'_>, run_id: &str, key: &str) -> Result<(), Fault> {
    let run = session.active_run(run_id)?;
    if key == run_name::TAG {
        return Err(invalid("tag key", key, "it holds the run's name and can only be changed").into());
    }
    match session.sql.execute("DELETE FROM tags WHERE run = ? AND key = ?", params![run, key])? {
        0 => Err(session.not_found("tag", key)),
        _ => Ok(()),
    }
}

fn insert_params(session: &Session<'_>, run: i64, run_id: &str, params: &[Param]) -> Result<(), Fault> {
    let mut insert = session
        .sql
        .prepare_cached("INSERT INTO params (run, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")?;
    let mut select = session.sql.prepare_cached("SELECT value FROM params WHERE run = ? AND key = ?")?;
    for Param { key, value } in params {
        if insert.execute(params![run, key, value])? > 0 {
            continue;
        }
        let stored: String = select.query_row(params![run, key], |row| row.get(0))?;
        if stored != *value {
            let (run_id, key, given) = (run_id.to_owned(), key.clone(), value.clone());
            return Err(TrackingError::ParamConflict { run_id, key, stored, given }.into());
        }
    }
    Ok(())
}

fn insert_metrics(session: &Session<'_>, run: i64, metrics: &[Metric]) -> Result<(), Fault> {
    let sql = "INSERT INTO metrics (run, metric_key, step, timestamp, axis, is_nan, value) VALUES (?, ?, ?, ?, ?, ?, ?) \
               ON CONFLICT DO NOTHING";
    let mut insert = session.sql.prepare_cached(sql)?;
    // Key number and latest point of each metric in the batch: one look-up and one update per metric, not per point.
    let mut latest: HashMap<&str, (i64, &Metric)> = HashMap::new();
    for metric in metrics {
        let metric_key = match latest.get_mut(metric.key.as_str()) {
            Some((metric_key, newest)) => {
                if is_later(metric, newest) {
                    *newest = metric;
                }
                *metric_key
            }
            None => {
                let metric_key = metric_key(session, &metric.key)?;
                latest.insert(&metric.key, (metric_key, metric));
                metric_key
            }
        };
        let (is_nan, value) = stored_value(metric);
        insert.execute(params![
            run,
            metric_key,
            metric.step,
            metric.timestamp,
            stored_axis(metric.axis),
            is_nan,
            value
        ])?;
    }

    let sql = "INSERT INTO latest_metrics (run, metric_key, step, timestamp, axis, is_nan, value) VALUES (?, ?, ?, ?, ?, ?, ?) \
               ON CONFLICT DO UPDATE SET step = excluded.step, timestamp = excluded.timestamp, axis = excluded.axis, \
               is_nan = excluded.is_nan, value = excluded.value \
               WHERE (excluded.step, excluded.timestamp, -excluded.is_nan, excluded.value) > (step, timestamp, -is_nan, value)";
    let mut upsert = session.sql.prepare_cached(sql)?;
    for (metric_key, metric) in latest.into_values() {
        let (is_nan, value) = stored_value(metric);
        upsert.execute(params![
            run,
            metric_key,
            metric.step,
            metric.timestamp,
            stored_axis(metric.axis),
            is_nan,
            value
        ])?;
    }
    Ok(())
}

/// MLflow's rule: the latest point has the largest step, then time, then value; here a number also beats NaN.
pub(super) fn is_later(metric: &Metric, than: &Metric) -> bool {
    let order = (metric.step, metric.timestamp).cmp(&(than.step, than.timestamp));
    match order {
        Ordering::Equal => than.value.is_nan() || metric.value > than.value,
        order => order == Ordering::Greater,
    }
}

pub(super) fn metric_key(session: &Session<'_>, key: &str) -> Result<i64, Fault> {
    let mut select = session.sql.prepare_cached("SELECT metric_key FROM metric_keys WHERE key = ?")?;
    if let Some(metric_key) = select.query_row([key], |row| row.get(0)).optional()? {
        return Ok(metric_key);
    }
    session.sql.prepare_cached("INSERT INTO metric_keys (key) VALUES (?)")?.execute([key])?;
    Ok(session.sql.last_insert_rowid())
}

/// SQLite would store NaN as NULL.
pub(super) fn stored_value(metric: &Metric) -> (bool, f64) {
    if metric.value.is_nan() { (true, 0.0) } else { (false, metric.value) }
}

pub(super) fn stored_axis(axis: Axis) -> i64 {
    match axis {
        Axis::Step => 0,
        Axis::Epoch => 1,
        Axis::Sample => 2,
    }
}
