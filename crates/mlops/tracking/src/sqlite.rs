//! The default store: one SQLite file that several threads and processes write at once.
//!
//! The file is in WAL mode: readers never wait for the writer, and a commit is on the disk when the call returns
//! (`synchronous = FULL`). Writers of all processes queue for the one write lock, up to [`connection::BUSY_TIMEOUT`].

mod connection;
mod error;
mod migrations;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, TransactionBehavior};

pub use self::error::DatabaseError;
use self::error::database_error;
use crate::{
    PostgresError, TrackingError, limits,
    sql::{self, Database, Fault, Session},
};

/// Idle reading connections kept for later readers.
const IDLE_READERS: usize = 8;

/// A tracking store in a SQLite file.
///
/// The file belongs on a disk of this machine: WAL needs memory that the writers share, which a network file system does
/// not give. Several machines share a store through a server.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    uri: String,
    artifact_root: String,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl SqliteStore {
    /// Opens the database file `path`, or creates it with its folder. Artifacts go to `mlartifacts` beside it.
    ///
    /// # Errors
    /// [`DatabaseError`] where the file is not a database of Fulmen, is damaged or newer than this program, or where
    /// the folder cannot be written to.
    pub fn open(path: &Path) -> Result<Self, TrackingError> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let artifact_root = absolute.with_file_name("mlartifacts");
        Self::open_with_artifact_root(path, &artifact_root.to_string_lossy())
    }

    /// As [`open`](Self::open), with artifacts below the path or URI `artifact_root`.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where `artifact_root` is no location.
    pub fn open_with_artifact_root(path: &Path, artifact_root: &str) -> Result<Self, TrackingError> {
        limits::check_artifact_location(artifact_root)?;
        // Later connections must find the same file after a change of the working folder.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let writer = connection::open_writer(&absolute)?;
        Ok(Self {
            path: absolute,
            uri: format!("sqlite:///{}", path.display()),
            artifact_root: artifact_root.trim_end_matches('/').to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::default(),
        })
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn in_transaction<T>(
        &self,
        connection: &mut Connection,
        behavior: TransactionBehavior,
        work: impl Fn(&Session<'_>) -> Result<T, Fault>,
    ) -> Result<T, TrackingError> {
        let mut run = || {
            let transaction = connection.transaction_with_behavior(behavior)?;
            let session = Session {
                connection: sql::Connection::Sqlite(&transaction),
                store_uri: &self.uri,
                artifact_root: &self.artifact_root,
            };
            let value = work(&session)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|fault| match fault {
            Fault::Rule(error) => error,
            Fault::Sqlite(error) => database_error(&self.path, error).into(),
            Fault::Postgres(error) => PostgresError::other(&self.uri, error).into(),
        })
    }
}

impl Database for SqliteStore {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn read<T>(&self, work: impl Fn(&Session<'_>) -> Result<T, Fault>) -> Result<T, TrackingError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connection::open_reader(&self.path)?,
        };
        let result = self.in_transaction(&mut connection, TransactionBehavior::Deferred, work);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS {
            readers.push(connection);
        }
        result
    }

    fn write<T>(&self, work: impl Fn(&Session<'_>) -> Result<T, Fault>) -> Result<T, TrackingError> {
        // A panic while the lock was held has rolled its transaction back.
        let mut connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // The write lock from the start: a transaction that begins with a read could not get it without starting over.
        self.in_transaction(&mut connection, TransactionBehavior::Immediate, work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, NewRun, RunBatch, Tag, TrackingStore as _};

    #[test]
    fn a_full_disk_is_reported_and_nothing_is_written_by_halves() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("fulmen.db")).unwrap();
        let new = NewRun { experiment_id: "0".into(), ..NewRun::default() };
        let before = store.create_run(&new).unwrap();
        // SQLite answers as on a full disk when the file may not grow.
        store.writer.lock().unwrap().pragma_update(None, "max_page_count", 1).unwrap();
        let tags = (0..100).map(|number| Tag::new(format!("t{number}"), "x".repeat(8000))).collect();
        let error =
            store.log_batch(&before.info.run_id, &RunBatch { tags, ..RunBatch::default() }).unwrap_err();
        assert!(matches!(error, TrackingError::Database(DatabaseError::Full { .. })), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(store.run(&before.info.run_id).unwrap(), before);
    }
}
