//! What can go wrong with a journal.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// There is no such file.
    #[error("{}: no such journal", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{}: is not a journal of Fulmen; name another file", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// The journal belongs to another run.
    #[error("{}: is the journal of run {found}, not of {expected}; give each run a journal of its own", path.display())]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// The run it belongs to.
        found: String,
        /// The run it was opened for.
        expected: String,
    },
    /// A process has the journal open.
    #[error("{}: a process has this journal open; wait until its run has ended", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A record in the middle of the file is damaged.
    #[error("{}: the record at byte {offset} is damaged; what precedes it can be delivered with `fulmen sync`, then move the file away", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the record begins, in bytes.
        offset: u64,
    },
    /// The disk is full.
    #[error("{}: no space left on the device; free some space, or keep journals on another disk", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Any other failure of the file system.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's own words.
        source: io::Error,
    },
}

impl JournalError {
    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, action, source },
        }
    }
}
