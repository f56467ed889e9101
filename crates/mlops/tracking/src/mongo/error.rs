//! MongoDB's failures, sorted by what the reader of the message can do about them.

use mongodb::error::{Error, ErrorKind as Kind, WriteFailure};

use crate::{ErrorKind, TrackingError};

/// The server's code for a value that a unique index has already.
const DUPLICATE_KEY: i32 = 11000;
/// `Unauthorized`, `AuthenticationFailed` and Atlas's own code for the same.
const NOT_ALLOWED: [i32; 3] = [13, 18, 8000];
/// `BSONObjectTooLarge` and its older kin.
const TOO_LARGE: [i32; 3] = [10334, 17280, 17419];

/// Why a MongoDB database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MongoError {
    /// No server answers.
    #[error("{uri}: no MongoDB server answers; start it, or check host and port")]
    Unreachable {
        /// The tracking URI, without secrets.
        uri: String,
        /// The driver's own words.
        source: Box<Error>,
    },
    /// The server does not let this user in.
    #[error(
        "{uri}: the server refuses this user; check user, password and `authSource` of the URI, and the user's roles"
    )]
    Refused {
        /// The tracking URI, without secrets.
        uri: String,
        /// The driver's own words.
        source: Box<Error>,
    },
    /// The database belongs to another program.
    #[error("{uri}: the database {database:?} is another program's; name another one, such as {uri}/fulmen")]
    Foreign {
        /// The tracking URI, without secrets.
        uri: String,
        /// The database.
        database: String,
    },
    /// A newer Fulmen wrote the database.
    #[error(
        "{uri}: the database has schema version {found}, and this program knows versions up to {known}; update Fulmen, or name another database"
    )]
    Newer {
        /// The tracking URI, without secrets.
        uri: String,
        /// Version found.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// A Fulmen from before the first release with MongoDB wrote the database.
    #[error(
        "{uri}: the database has schema version {found}, and this program reads versions from {known} on; name another database, or read this one with the Fulmen that wrote it"
    )]
    Older {
        /// The tracking URI, without secrets.
        uri: String,
        /// Version found.
        found: i64,
        /// Oldest version that this program reads.
        known: i64,
    },
    /// One document would hold more than MongoDB's 16 MiB.
    #[error(
        "{uri}: what one run, model or dataset holds would exceed MongoDB's limit of 16 MiB a document; log large texts as artifacts"
    )]
    TooLarge {
        /// The tracking URI, without secrets.
        uri: String,
    },
    /// Too many writers want to change the same thing at once.
    #[error("{uri}: {id} is being changed by too many writers at once; try again")]
    Busy {
        /// The tracking URI, without secrets.
        uri: String,
        /// What they want to change.
        id: String,
    },
    /// Any other failure.
    #[error("{uri}: the database failed")]
    Other {
        /// The tracking URI, without secrets.
        uri: String,
        /// The driver's own words.
        source: Box<Error>,
    },
}

impl MongoError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { .. } | Self::Foreign { .. } | Self::Newer { .. } | Self::Older { .. } => {
                ErrorKind::Broken
            }
            Self::TooLarge { .. } => ErrorKind::InvalidParameter,
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Other { .. } => ErrorKind::Unavailable,
        }
    }
}

/// Sorts an error of the driver.
pub(super) fn mongo_error(uri: &str, error: Error) -> TrackingError {
    let uri = uri.to_owned();
    let code = match error.kind.as_ref() {
        Kind::Command(command) => Some(command.code),
        Kind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        Kind::InsertMany(many) => {
            many.write_errors.as_ref().and_then(|errors| errors.first()).map(|error| error.code)
        }
        _ => None,
    };
    let is_one_of = |codes: &[i32]| code.is_some_and(|code| codes.contains(&code));
    let found = match error.kind.as_ref() {
        _ if is_one_of(&TOO_LARGE) => MongoError::TooLarge { uri },
        Kind::Authentication { .. } => MongoError::Refused { uri, source: Box::new(error) },
        _ if is_one_of(&NOT_ALLOWED) => MongoError::Refused { uri, source: Box::new(error) },
        Kind::ServerSelection { .. }
        | Kind::Io(_)
        | Kind::ConnectionPoolCleared { .. }
        | Kind::DnsResolve { .. } => MongoError::Unreachable { uri, source: Box::new(error) },
        // The driver itself refuses a document beyond the limit.
        Kind::InvalidArgument { message, .. } if message.contains("size") => MongoError::TooLarge { uri },
        _ => MongoError::Other { uri, source: Box::new(error) },
    };
    found.into()
}

/// Whether the server refused one document because its key exists.
pub(super) fn is_duplicate(error: &Error) -> bool {
    matches!(error.kind.as_ref(), Kind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE_KEY)
        || matches!(error.kind.as_ref(), Kind::Command(command) if command.code == DUPLICATE_KEY)
}

/// Whether all that the server refused of many documents were keys that exist.
pub(super) fn are_duplicates(error: &Error) -> bool {
    let Kind::InsertMany(many) = error.kind.as_ref() else { return false };
    let errors = many.write_errors.as_deref().unwrap_or_default();
    many.write_concern_error.is_none()
        && !errors.is_empty()
        && errors.iter().all(|error| error.code == DUPLICATE_KEY)
}
