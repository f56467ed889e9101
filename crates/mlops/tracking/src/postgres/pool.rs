//! Connections for many threads: those that are free are used again.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    connection::PostgresConnection,
    error::{PostgresError, failed, is_lost},
    options::Options,
};
use crate::TrackingError;

/// Most connections at once. A server takes 100 unless it is told otherwise, and several programs share it.
const MOST: usize = 16;
/// How long a call waits for a connection to become free.
const WAIT: Duration = Duration::from_secs(30);

/// The connections to one database.
#[derive(Debug)]
pub(super) struct Pool {
    options: Options,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<PostgresConnection>,
    in_use: usize,
}

impl Pool {
    pub(super) fn new(options: Options) -> Self {
        Self { options, state: Mutex::default(), freed: Condvar::new() }
    }

    /// The URI, without secrets.
    pub(super) fn uri(&self) -> &str {
        self.options.uri()
    }

    /// A connection on which a transaction has begun.
    pub(super) fn begin(&self, sql: &str) -> Result<Pooled<'_>, TrackingError> {
        loop {
            let (mut connection, is_new) = self.take()?;
            match connection.connection.batch(sql) {
                Ok(()) => return Ok(connection),
                // It died while it was idle, as all do when the server starts anew; nothing has been asked of it yet.
                Err(error) if !is_new && is_lost(&error) => {}
                Err(error) => return Err(failed(self.uri(), error)),
            }
        }
    }

    /// A connection, and whether it is new.
    fn take(&self) -> Result<(Pooled<'_>, bool), TrackingError> {
        let deadline = Instant::now() + WAIT;
        let mut state = self.lock();
        loop {
            let idle = state.idle.pop();
            if idle.is_some() || state.in_use < MOST {
                state.in_use += 1;
                drop(state);
                let seat = Seat { pool: self };
                return Ok(match idle {
                    Some(connection) => (Pooled { connection, seat }, false),
                    None => (Pooled { connection: self.options.connect()?, seat }, true),
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let reason = format!("all {MOST} connections of this program are in use");
                return Err(PostgresError::Busy { server: self.uri().to_owned(), reason }.into());
            }
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. One that is dropped in the midst of a transaction is closed.
#[derive(Debug)]
pub(super) struct Pooled<'a> {
    pub(super) connection: PostgresConnection,
    seat: Seat<'a>,
}

impl Pooled<'_> {
    /// Ends the transaction, and gives the connection back.
    pub(super) fn commit(mut self) -> Result<(), postgres::Error> {
        self.connection.batch("COMMIT")?;
        self.give_back();
        Ok(())
    }

    /// Undoes the transaction, and gives the connection back. Where that cannot be said any more the server does so itself.
    pub(super) fn roll_back(mut self) {
        if self.connection.batch("ROLLBACK").is_ok() {
            self.give_back();
        }
    }

    fn give_back(self) {
        let Self { connection, seat } = self;
        seat.pool.lock().idle.push(connection);
    }
}

/// Stands for one connection in use.
#[derive(Debug)]
struct Seat<'a> {
    pool: &'a Pool,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.pool.lock().in_use -= 1;
        self.pool.freed.notify_one();
    }
}
