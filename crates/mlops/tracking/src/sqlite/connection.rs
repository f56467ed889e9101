//! Opening the database file: what it is, what it may be, and the settings of each connection.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    error::{DatabaseError, database_error},
    migrations,
};

/// How long a writer waits for the writers of other processes.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Prepared statements that a connection keeps.
const STATEMENT_CACHE: usize = 64;

/// Opens the file for writing; creates it and its folder where they are absent, and brings its schema up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, DatabaseError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder).map_err(|error| DatabaseError::Unwritable {
            path: path.to_path_buf(),
            reason: format!("{}: {error}", folder.display()),
        })?;
    }
    let sql_failed = |error| database_error(path, error);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE).map_err(sql_failed)?;
    // SQLite falls back to reading where it may not write.
    if connection.is_readonly("main").map_err(sql_failed)? {
        return Err(DatabaseError::Unwritable {
            path: path.to_path_buf(),
            reason: "the file is read-only".to_owned(),
        });
    }
    migrations::refuse_foreign(path, &connection)?;
    use_wal(&connection).map_err(sql_failed)?;
    migrations::migrate(path, &mut connection)?;
    Ok(connection)
}

/// Opens one more connection, for reading, to a file that [`open_writer`] has prepared.
pub(super) fn open_reader(path: &Path) -> Result<Connection, DatabaseError> {
    let open = || {
        // A reader of a WAL file writes to the shared index beside it, so a read-only handle would not do.
        let connection = connect(path, OpenFlags::empty())?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(|error| database_error(path, error))
}

fn connect(path: &Path, extra: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | extra;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(connection)
}

/// Switches the file to WAL. While two processes do so at once, SQLite answers one of them at once that it is busy.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mut pause = Duration::from_millis(1);
    loop {
        let result =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match result {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && pause < BUSY_TIMEOUT =>
            {
                std::thread::sleep(pause);
                pause *= 2;
            }
            // A file system without shared memory keeps the old journal; slower, but right.
            result => return result.map(drop),
        }
    }
}
