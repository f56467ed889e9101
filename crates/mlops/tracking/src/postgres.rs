//! A store in a PostgreSQL database that a team shares.
//!
//! The calls block: the driver is the synchronous `postgres` crate, and a thread of an asynchronous program hands them to
//! a blocking thread. Connections are pooled; a call whose connection had died before it began gets a new one.

mod connection;
mod error;
mod migrations;
mod options;
mod pool;
mod tls;

use std::{cell::RefCell, thread, time::Duration};

pub use self::error::PostgresError;
pub(crate) use self::{connection::PostgresConnection, options::Options};
use self::{error::failed, pool::Pool};
use crate::{
    TrackingError, limits,
    sql::{self, Database, Fault, Session},
};

/// How often a transaction that stood in another's way is run.
const ATTEMPTS: u32 = 20;
/// Each read sees one state of the database.
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Writers lock the rows that they rely on, and see what others have committed.
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// A tracking store in a PostgreSQL database.
///
/// Its tables are in the first schema of `search_path`, which may be set in the URI:
/// `postgresql://user:password@host:5432/database?options=-c%20search_path%3Dteam`.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    artifact_root: String,
}

impl PostgresStore {
    /// Opens the database that a URI `postgresql://user:password@host:port/database` names, and brings its tables up to
    /// date. The parameters after `?` are libpq's: `sslmode`, `sslrootcert`, `options`, `connect_timeout` …
    ///
    /// Artifacts of experiments without a location of their own go below the path or URI `artifact_root`.
    ///
    /// # Errors
    /// [`UriError`](crate::UriError) where the URI cannot be understood; [`PostgresError`] where the server cannot be
    /// reached or lets nobody in, where the database belongs to another program, or is newer than this program.
    pub fn open(uri: &str, artifact_root: &str) -> Result<Self, TrackingError> {
        limits::check_artifact_location(artifact_root)?;
        let pool = Pool::new(Options::read(uri)?);
        migrations::migrate(&pool)?;
        Ok(Self { pool, artifact_root: artifact_root.trim_end_matches('/').to_owned() })
    }

    /// Runs `work` between `begin` and a commit, again if it stood in the way of another transaction.
    fn in_transaction<T>(
        &self,
        begin: &str,
        work: impl Fn(&Session<'_>) -> Result<T, Fault>,
    ) -> Result<T, TrackingError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut pooled = self.pool.begin(begin)?;
            let result = work(&Session {
                connection: sql::Connection::Postgres(RefCell::new(&mut pooled.connection)),
                store_uri: self.pool.uri(),
                artifact_root: &self.artifact_root,
            });
            let fault = match result {
                Ok(value) => match pooled.commit() {
                    Ok(()) => return Ok(value),
                    Err(error) => Fault::Postgres(error),
                },
                Err(fault) => {
                    pooled.roll_back();
                    fault
                }
            };
            match fault {
                Fault::Postgres(error) if attempt < ATTEMPTS && error::is_conflict(&error) => {
                    thread::sleep(Duration::from_millis(u64::from(attempt * attempt)));
                }
                Fault::Postgres(error) => return Err(failed(self.pool.uri(), error)),
                Fault::Sqlite(error) => return Err(PostgresError::other(self.pool.uri(), error).into()),
                Fault::Rule(error) => return Err(error),
            }
        }
    }
}

impl Database for PostgresStore {
    fn uri(&self) -> &str {
        self.pool.uri()
    }

    fn read<T>(&self, work: impl Fn(&Session<'_>) -> Result<T, Fault>) -> Result<T, TrackingError> {
        self.in_transaction(BEGIN_READ, work)
    }

    fn write<T>(&self, work: impl Fn(&Session<'_>) -> Result<T, Fault>) -> Result<T, TrackingError> {
        self.in_transaction(BEGIN_WRITE, work)
    }
}
