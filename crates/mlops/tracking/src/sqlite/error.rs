//! SQLite's failures, sorted by what the reader of the message can do about them.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::ErrorKind;

/// Why the database file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The file is something else.
    #[error("{}: is not a SQLite database; name another file, or move this one away", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database belongs to another program.
    #[error("{}: is a database of another program (MLflow's own cannot be shared); name another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer Fulmen wrote the database.
    #[error("{}: has schema version {found}, and this program knows versions up to {known}; update Fulmen, or name another file", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The content is damaged.
    #[error("{}: the database is damaged; restore a backup, or save what can be read with `sqlite3 {} .recover`", path.display(), path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file or its folder cannot be created or written to.
    #[error("{}: cannot be opened for writing ({reason}); make the file and its folder writable, or name another file", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        reason: String,
    },
    /// The disk is full.
    #[error("{}: no space left on the device; free some space, or move the database to another disk", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another process held the write lock too long.
    #[error("{}: another process has kept the database locked for more than 30 seconds; end it, or try again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Any other failure.
    #[error("{}: the database failed", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// SQLite's own words.
        source: rusqlite::Error,
    },
}

impl DatabaseError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::NotADatabase { .. } | Self::Foreign { .. } | Self::Newer { .. } | Self::Damaged { .. } => {
                ErrorKind::Broken
            }
            Self::Unwritable { .. } | Self::Full { .. } | Self::Busy { .. } | Self::Other { .. } => {
                ErrorKind::Unavailable
            }
        }
    }
}

/// Sorts an error of SQLite over the file `path`.
pub(super) fn database_error(path: &Path, error: rusqlite::Error) -> DatabaseError {
    let path = path.to_path_buf();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => DatabaseError::NotADatabase { path },
        Some(ErrorCode::DatabaseCorrupt) => DatabaseError::Damaged { path },
        Some(ErrorCode::DiskFull) => DatabaseError::Full { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DatabaseError::Busy { path },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            DatabaseError::Unwritable { path, reason: error.to_string() }
        }
        _ => DatabaseError::Other { path, source: error },
    }
}
