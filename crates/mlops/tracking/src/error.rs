//! What a tracking store, a journal or a recorder may refuse or fail at.

use crate::{DatabaseError, FilterError, JournalError, MongoError, PostgresError, RemoteError, UriError};

/// Why a tracking operation was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackingError {
    /// A value breaks a rule.
    #[error("{what} {value:?}: {reason}")]
    Invalid {
        /// What the value is, such as `metric key`.
        what: &'static str,
        /// The value.
        value: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// A text is longer than MLflow's limit.
    #[error(
        "{what} is {length} characters long, and the limit is {limit}; shorten it, or log it as an artifact"
    )]
    TooLong {
        /// What the text is, with its key.
        what: String,
        /// Its length in characters.
        length: usize,
        /// The limit in characters.
        limit: usize,
    },
    /// A batch has too many entries of one kind.
    #[error("a batch of {count} {what} exceeds the limit of {limit}; split it")]
    TooMany {
        /// `metrics`, `params` or `tags`.
        what: &'static str,
        /// Entries given.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Nothing has this id or name.
    #[error("no {what} {id:?} in {store}")]
    NotFound {
        /// Such as `run`, `experiment` or `tag`.
        what: &'static str,
        /// The id, name or key.
        id: String,
        /// URI of the store.
        store: String,
    },
    /// Another experiment has this name.
    #[error("experiment {name:?} exists already{}", if *deleted { " and is deleted; restore it, or choose another name" } else { "" })]
    ExperimentExists {
        /// The name.
        name: String,
        /// Whether the other one is deleted.
        deleted: bool,
    },
    /// Another one has this name.
    #[error("{what} {name:?} exists already; choose another name")]
    Exists {
        /// `registered model`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A param has another value already.
    #[error(
        "param {key:?} of run {run_id} is {stored:?} and cannot become {given:?}: params never change; use a tag, or start a new run"
    )]
    ParamConflict {
        /// The run.
        run_id: String,
        /// The param's key.
        key: String,
        /// The value it has.
        stored: String,
        /// The value it was to get.
        given: String,
    },
    /// What is deleted cannot be written to.
    #[error("{what} {id} is deleted; restore it first")]
    Deleted {
        /// `run` or `experiment`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A journal's batch does not continue where the store stands.
    #[error(
        "journal {journal_id} of run {run_id}: the store has records up to {position}, and was given those after {after}"
    )]
    JournalOrder {
        /// The run.
        run_id: String,
        /// The journal.
        journal_id: String,
        /// Sequence number of the last record that the store has.
        position: u64,
        /// Sequence number that the records given follow.
        after: u64,
    },
    /// A page token does not belong to the search that it is used for.
    #[error("the page token does not belong to this search; ask again without a token")]
    PageToken,
    /// A filter or an order cannot be understood.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A tracking URI cannot be understood.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The PostgreSQL server failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A MongoDB database failed.
    #[error(transparent)]
    Mongo(#[from] MongoError),
    /// A tracking server failed, or refused.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Artifacts could not be removed.
    #[error(transparent)]
    Storage(#[from] fulmen_storage::StorageError),
}

/// The sorts of errors that a caller treats differently: which HTTP status to answer, whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong, and stays wrong.
    InvalidParameter,
    /// What the request names does not exist.
    NotFound,
    /// What the request wants to create exists.
    AlreadyExists,
    /// What the request names is deleted, or has moved on.
    InvalidState,
    /// The store cannot answer now; the same request may succeed later.
    Unavailable,
    /// The store cannot be used until somebody repairs it.
    Broken,
}

impl TrackingError {
    /// Which sort of error this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. }
            | Self::TooLong { .. }
            | Self::TooMany { .. }
            | Self::ParamConflict { .. }
            | Self::PageToken
            | Self::Filter(_)
            | Self::Uri(_) => ErrorKind::InvalidParameter,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::ExperimentExists { .. } | Self::Exists { .. } => ErrorKind::AlreadyExists,
            Self::Deleted { .. } | Self::JournalOrder { .. } => ErrorKind::InvalidState,
            Self::Database(error) => error.kind(),
            Self::Postgres(error) => error.kind(),
            Self::Mongo(error) => error.kind(),
            Self::Remote(error) => error.kind(),
            Self::Journal(_) | Self::Storage(_) => ErrorKind::Unavailable,
        }
    }
}
