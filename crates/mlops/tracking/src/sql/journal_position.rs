//! How far each journal of a run has been delivered, kept in the transaction of what it delivers.

use super::{Fault, log, runs, session::Session};
use crate::{JournalBatch, RunUpdate, TrackingError};

pub(super) fn get(session: &Session<'_>, run_id: &str, journal_id: &str) -> Result<u64, Fault> {
    position(session, session.any_run(run_id)?, journal_id)
}

pub(super) fn log(session: &Session<'_>, run_id: &str, records: &JournalBatch) -> Result<(), Fault> {
    let run = session.active_run(run_id)?;
    let position = position(session, run, &records.journal_id)?;
    if records.after != position || records.last <= position {
        let (run_id, journal_id) = (run_id.to_owned(), records.journal_id.clone());
        return Err(TrackingError::JournalOrder { run_id, journal_id, position, after: records.after }.into());
    }
    log::batch(session, run_id, &records.batch)?;
    if let Some(finish) = records.finish {
        let update =
            RunUpdate { status: Some(finish.status), end_time: Some(finish.end_time), run_name: None };
        runs::update(session, run_id, &update)?;
    }
    let sql = "INSERT INTO journals (run, journal_id, position) VALUES (?1, ?2, ?3) \
               ON CONFLICT (run, journal_id) DO UPDATE SET position = excluded.position";
    session.execute(sql, &[&run, &records.journal_id, &records.last.cast_signed()])?;
    Ok(())
}

fn position(session: &Session<'_>, run: i64, journal_id: &str) -> Result<u64, Fault> {
    let sql = "SELECT position FROM journals WHERE run = ?1 AND journal_id = ?2";
    let position = session.first(sql, &[&run, &journal_id], |row| row.get::<i64>(0))?;
    Ok(position.unwrap_or(0).cast_unsigned())
}
