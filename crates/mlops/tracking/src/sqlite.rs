//! The default store: one SQLite file that several threads and processes write at once.
//!
//! The file is in WAL mode: readers never wait for the writer, and a commit is on the disk when the call returns
//! (`synchronous = FULL`). Writers of all processes queue for the one write lock, up to [`connection::BUSY_TIMEOUT`].

mod connection;
mod error;
mod experiments;
mod journal_position;
mod lineage;
mod lineage_store;
mod log;
mod logged_models;
mod migrations;
mod model_registry;
mod model_versions;
mod page_token;
mod paging;
mod query;
mod registered_models;
mod runs;
mod search;
mod session;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, TransactionBehavior};

pub use self::error::DatabaseError;
use self::{
    error::{Fault, database_error},
    session::Session,
};
use crate::{
    Experiment, HistoryQuery, JournalBatch, Metric, NewExperiment, NewRun, Page, Run, RunBatch, RunInfo,
    RunUpdate, SearchExperiments, SearchRuns, Tag, TrackingError, TrackingStore, limits,
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

    /// Runs `work` in a transaction that sees one state of the database and may not change it.
    fn read<T>(&self, work: impl FnOnce(&Session<'_>) -> Result<T, Fault>) -> Result<T, TrackingError> {
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

    /// Runs `work` in a transaction that is committed if it succeeds.
    fn write<T>(&self, work: impl FnOnce(&Session<'_>) -> Result<T, Fault>) -> Result<T, TrackingError> {
        // A panic while the lock was held has rolled its transaction back.
        let mut connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // The write lock from the start: a transaction that begins with a read could not get it without starting over.
        self.in_transaction(&mut connection, TransactionBehavior::Immediate, work)
    }

    fn in_transaction<T>(
        &self,
        connection: &mut Connection,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Session<'_>) -> Result<T, Fault>,
    ) -> Result<T, TrackingError> {
        let run = || {
            let sql = connection.transaction_with_behavior(behavior)?;
            let session = Session { sql, store_uri: &self.uri, artifact_root: &self.artifact_root };
            let value = work(&session)?;
            session.sql.commit()?;
            Ok(value)
        };
        run().map_err(|fault| match fault {
            Fault::Rule(error) => error,
            Fault::Sql(error) => database_error(&self.path, error).into(),
        })
    }
}

impl TrackingStore for SqliteStore {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn create_experiment(&self, new: &NewExperiment) -> Result<Experiment, TrackingError> {
        limits::check_experiment_name(&new.name)?;
        new.artifact_location.as_deref().map_or(Ok(()), limits::check_artifact_location)?;
        new.tags.iter().try_for_each(limits::check_experiment_tag)?;
        self.write(|session| experiments::create(session, new))
    }

    fn experiment(&self, experiment_id: &str) -> Result<Experiment, TrackingError> {
        self.read(|session| experiments::get(session, experiment_id))
    }

    fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        self.read(|session| experiments::find(session, name))
    }

    fn search_experiments(&self, search: &SearchExperiments) -> Result<Page<Experiment>, TrackingError> {
        let prepared = search::prepare_experiments(search)?;
        self.read(|session| search::experiments(session, &prepared, search.view))
    }

    fn rename_experiment(&self, experiment_id: &str, name: &str) -> Result<(), TrackingError> {
        limits::check_experiment_name(name)?;
        self.write(|session| experiments::rename(session, experiment_id, name))
    }

    fn delete_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.write(|session| experiments::delete(session, experiment_id))
    }

    fn restore_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.write(|session| experiments::restore(session, experiment_id))
    }

    fn set_experiment_tag(&self, experiment_id: &str, tag: &Tag) -> Result<(), TrackingError> {
        limits::check_experiment_tag(tag)?;
        self.write(|session| experiments::set_tag(session, experiment_id, tag))
    }

    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<(), TrackingError> {
        self.write(|session| experiments::delete_tag(session, experiment_id, key))
    }

    fn purge_experiment(&self, experiment_id: &str) -> Result<(), TrackingError> {
        self.write(|session| experiments::purge(session, experiment_id))
    }

    fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError> {
        limits::check_tags(&new.tags)?;
        let name = runs::name_of_new_run(new)?;
        self.write(|session| runs::create(session, new, &name))
    }

    fn run(&self, run_id: &str) -> Result<Run, TrackingError> {
        self.read(|session| runs::get(session, run_id))
    }

    fn update_run(&self, run_id: &str, update: &RunUpdate) -> Result<RunInfo, TrackingError> {
        if let Some(name) = &update.run_name {
            limits::check_tags(&[Tag::new(crate::run_name::TAG, name.as_str())])?;
        }
        self.write(|session| runs::update(session, run_id, update))
    }

    fn delete_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.write(|session| runs::delete(session, run_id))
    }

    fn restore_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.write(|session| runs::restore(session, run_id))
    }

    fn purge_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.write(|session| runs::purge(session, run_id))
    }

    fn search_runs(&self, search: &SearchRuns) -> Result<Page<Run>, TrackingError> {
        let prepared = search::prepare_runs(search)?;
        self.read(|session| search::runs(session, &prepared, &search.experiment_ids, search.view))
    }

    fn log_batch(&self, run_id: &str, batch: &RunBatch) -> Result<(), TrackingError> {
        limits::check_batch(batch)?;
        self.write(|session| log::batch(session, run_id, batch))
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        self.write(|session| log::delete_tag(session, run_id, key))
    }

    fn metric_history(&self, query: &HistoryQuery) -> Result<Page<Metric>, TrackingError> {
        let query = search::prepare_history(query)?;
        self.read(|session| search::history(session, &query))
    }

    fn journal_position(&self, run_id: &str, journal_id: &str) -> Result<u64, TrackingError> {
        self.read(|session| journal_position::get(session, run_id, journal_id))
    }

    fn log_journal(&self, run_id: &str, records: &JournalBatch) -> Result<(), TrackingError> {
        limits::check_batch(&records.batch)?;
        self.write(|session| journal_position::log(session, run_id, records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

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
