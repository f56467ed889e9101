//! What a run logs: metrics, params and tags.

use super::{Fault, metrics, session::Session};
use crate::{Param, RunBatch, Tag, TrackingError, limits::invalid, run_name};

pub(super) fn batch(session: &Session<'_>, run_id: &str, batch: &RunBatch) -> Result<(), Fault> {
    let run = session.active_run(run_id)?;
    insert_params(session, run, run_id, &batch.params)?;
    upsert_tags(session, run, &batch.tags)?;
    metrics::insert(session, run, &batch.metrics)?;
    metrics::insert_of_models(session, run, &batch.model_metrics)
}

/// Sets tags; the one that holds the run's name renames the run.
pub(super) fn upsert_tags(session: &Session<'_>, run: i64, tags: &[Tag]) -> Result<(), Fault> {
    if tags.is_empty() {
        return Ok(());
    }
    session.upsert_texts("tags", "run", run, tags)?;
    if let Some(name) = tags.iter().rfind(|tag| tag.key == run_name::TAG) {
        session.execute("UPDATE runs SET run_name = ?2 WHERE run = ?1", &[&run, &name.value])?;
    }
    Ok(())
}

pub(super) fn delete_tag(session: &Session<'_>, run_id: &str, key: &str) -> Result<(), Fault> {
    let run = session.active_run(run_id)?;
    if key == run_name::TAG {
        return Err(invalid("tag key", key, "it holds the run's name and can only be changed").into());
    }
    match session.execute("DELETE FROM tags WHERE run = ?1 AND key = ?2", &[&run, &key])? {
        0 => Err(session.not_found("tag", key)),
        _ => Ok(()),
    }
}

fn insert_params(session: &Session<'_>, run: i64, run_id: &str, params: &[Param]) -> Result<(), Fault> {
    if params.is_empty() {
        return Ok(());
    }
    match session.insert_params("params", "run", run, params)? {
        None => Ok(()),
        Some((param, stored)) => {
            let (run_id, key, given) = (run_id.to_owned(), param.key.clone(), param.value.clone());
            Err(TrackingError::ParamConflict { run_id, key, stored, given }.into())
        }
    }
}
