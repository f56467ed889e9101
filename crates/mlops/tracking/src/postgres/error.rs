//! PostgreSQL's failures, sorted by what the reader of the message can do about them.

use std::error::Error;

use postgres::error::SqlState;

use crate::{ErrorKind, TrackingError};

/// Why a PostgreSQL database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The server cannot be reached, or has gone.
    #[error(
        "{server}: no connection to the server ({reason}); see that it runs and that host and port are right"
    )]
    Unreachable {
        /// URI of the store, without secrets.
        server: String,
        /// The driver's own words.
        reason: String,
    },
    /// The server does not let this user do that.
    #[error("{server}: the server refuses ({reason}); see user, password, database and its permissions")]
    Refused {
        /// URI of the store, without secrets.
        server: String,
        /// The server's own words.
        reason: String,
    },
    /// The tables belong to another program.
    #[error(
        "{server}: holds tables of another program (MLflow's own cannot be shared); name another database, or another schema by \
         `?options=-c%20search_path%3DNAME`"
    )]
    Foreign {
        /// URI of the store, without secrets.
        server: String,
    },
    /// A newer Fulmen wrote the tables.
    #[error(
        "{server}: has schema version {found}, and this program knows versions up to {known}; update Fulmen, or name another database"
    )]
    Newer {
        /// URI of the store, without secrets.
        server: String,
        /// Version found.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The server's disk is full.
    #[error("{server}: no space left on the server's disk ({reason}); free some space there")]
    Full {
        /// URI of the store, without secrets.
        server: String,
        /// The server's own words.
        reason: String,
    },
    /// Too much goes on at once.
    #[error("{server}: the database is busy ({reason}); try again")]
    Busy {
        /// URI of the store, without secrets.
        server: String,
        /// What is in short supply.
        reason: String,
    },
    /// Any other failure.
    #[error("{server}: the database failed ({reason})")]
    Other {
        /// URI of the store, without secrets.
        server: String,
        /// The driver's own words.
        reason: String,
        /// The failure.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl PostgresError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { .. } | Self::Foreign { .. } | Self::Newer { .. } => ErrorKind::Broken,
            Self::Unreachable { .. } | Self::Full { .. } | Self::Busy { .. } | Self::Other { .. } => {
                ErrorKind::Unavailable
            }
        }
    }

    pub(crate) fn other(server: &str, error: impl Error + Send + Sync + 'static) -> Self {
        Self::Other { server: server.to_owned(), reason: words(&error), source: Box::new(error) }
    }
}

/// Sorts an error of the driver.
pub(super) fn failed(server: &str, error: postgres::Error) -> TrackingError {
    let (server, reason) = (server.to_owned(), words(&error));
    let Some(code) = error.code() else {
        return if is_lost(&error) || error.source().is_some_and(|source| source.is::<std::io::Error>()) {
            PostgresError::Unreachable { server, reason }.into()
        } else {
            PostgresError::other(&server, error).into()
        };
    };
    // The first two characters are the class of the error.
    match (&code.code()[..2], code) {
        (_, &SqlState::CHARACTER_NOT_IN_REPERTOIRE | &SqlState::UNTRANSLATABLE_CHARACTER) => {
            TrackingError::Invalid {
                what: "text",
                value: "\0".to_owned(),
                reason: "PostgreSQL cannot keep the character NUL (U+0000); leave it out".to_owned(),
            }
        }
        (
            _,
            &SqlState::TOO_MANY_CONNECTIONS | &SqlState::LOCK_NOT_AVAILABLE | &SqlState::CANNOT_CONNECT_NOW,
        )
        | ("40", _) => PostgresError::Busy { server, reason }.into(),
        (_, &SqlState::DISK_FULL) => PostgresError::Full { server, reason }.into(),
        (_, &SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::INVALID_SCHEMA_NAME) | ("28" | "3D", _) => {
            PostgresError::Refused { server, reason }.into()
        }
        ("08" | "57", _) => PostgresError::Unreachable { server, reason }.into(),
        _ => PostgresError::other(&server, error).into(),
    }
}

/// Whether the connection is gone, and with it what has been asked of it.
pub(super) fn is_lost(error: &postgres::Error) -> bool {
    // 57P01 … 57P03: the server shuts down; 08…: the connection broke.
    error.is_closed()
        || error.code().is_some_and(|code| code.code().starts_with("08") || code.code().starts_with("57P"))
        || error.source().is_some_and(|source| source.is::<std::io::Error>())
}

/// Whether the transaction stood in the way of another, so that it may succeed when it is run again. A row that is there
/// already, or is there no longer, was written by another meanwhile: the rule that speaks of it will say so next time.
pub(super) fn is_conflict(error: &postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::UNIQUE_VIOLATION,
            SqlState::FOREIGN_KEY_VIOLATION,
        ]
        .contains(code)
    })
}

/// The words of an error and of what caused it.
fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}
