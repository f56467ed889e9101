//! The schema, version by version. A published version never changes; a change is a new version.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{DatabaseError, database_error};
use crate::now_ms;

/// "FULM": marks the file as Fulmen's in its header.
const APPLICATION_ID: i64 = 0x4655_4C4D;

/// Statement `n` brings a database from version `n` to version `n + 1`.
const MIGRATIONS: [&str; 2] =
    [include_str!("migrations/0001_initial.sql"), include_str!("migrations/0002_registry_and_lineage.sql")];

/// The newest version that this program knows.
const NEWEST: i64 = MIGRATIONS.len() as i64;

/// Refuses a database that is not Fulmen's, before anything in it is changed.
pub(super) fn refuse_foreign(path: &Path, connection: &Connection) -> Result<(), DatabaseError> {
    let application_id = pragma(connection, "application_id").map_err(|error| database_error(path, error))?;
    if application_id == APPLICATION_ID {
        return refuse_newer(path, connection).map(drop);
    }
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    match tables.map_err(|error| database_error(path, error))? {
        0 if application_id == 0 => Ok(()),
        _ => Err(DatabaseError::Foreign { path: path.to_path_buf() }),
    }
}

/// Brings the schema up to date. Any number of processes may do so at once.
pub(super) fn migrate(path: &Path, connection: &mut Connection) -> Result<(), DatabaseError> {
    let failed = |error| database_error(path, error);
    if refuse_newer(path, connection)? == NEWEST {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Asked again under the lock: another process may have done the work meanwhile.
    let version = refuse_newer(path, &transaction)?;
    for (migration, from) in MIGRATIONS.into_iter().zip(0..) {
        if from >= version {
            transaction.execute_batch(migration).map_err(failed)?;
        }
    }
    if version == 0 {
        let sql = "INSERT INTO experiments (experiment_id, name, creation_time, last_update_time) VALUES (0, 'Default', ?1, ?1)";
        transaction.execute(sql, [now_ms()]).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    transaction.pragma_update(None, "user_version", NEWEST).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn refuse_newer(path: &Path, connection: &Connection) -> Result<i64, DatabaseError> {
    let found = pragma(connection, "user_version").map_err(|error| database_error(path, error))?;
    if found > NEWEST {
        return Err(DatabaseError::Newer { path: path.to_path_buf(), found, known: NEWEST });
    }
    Ok(found)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
