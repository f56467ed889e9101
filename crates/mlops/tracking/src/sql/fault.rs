//! What ends a transaction early.

use crate::TrackingError;

/// A failure of the database, or a rule of the store.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    Postgres(postgres::Error),
    Rule(TrackingError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<postgres::Error> for Fault {
    fn from(error: postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<TrackingError> for Fault {
    fn from(error: TrackingError) -> Self {
        Self::Rule(error)
    }
}
