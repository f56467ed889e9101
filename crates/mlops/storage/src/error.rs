//! What can go wrong with an artifact, each with its path and the way out.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use fulmen_encryption::EncryptionError;

/// Why an artifact could not be written, read, listed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The name would leave the artifact folder, or cannot be a file name everywhere.
    #[error("artifact name {name:?}: {reason}; write it as relative/path/file.ext, with `/` between folders")]
    Name {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A symbolic link on the way leads out of the artifact folder.
    #[error("{}: a symbolic link leads out of the artifact folder {}; replace it by a real file or folder", path.display(), root.display())]
    Escape {
        /// The artifact's path.
        path: PathBuf,
        /// The folder that it has to stay in.
        root: PathBuf,
    },
    /// There is no such artifact.
    #[error("{}: no such artifact", path.display())]
    Missing {
        /// The artifact's path.
        path: PathBuf,
    },
    /// A folder stands where a file is asked for, or a file where a folder is.
    #[error("{}: is {found}, expected {expected}", path.display())]
    Type {
        /// The artifact's path.
        path: PathBuf,
        /// What is there: `a folder` or `a file`.
        found: &'static str,
        /// What was asked for.
        expected: &'static str,
    },
    /// The disk (or the quota) is full.
    #[error("{}: no space left on the device; free some space, or point the artifact root at another disk", path.display())]
    Full {
        /// The file that was being written.
        path: PathBuf,
    },
    /// The folder may not be written to.
    #[error("{}: the folder cannot be written to; make it writable, or choose another artifact root", path.display())]
    ReadOnly {
        /// The file or folder that was being written.
        path: PathBuf,
    },
    /// A file's bytes are not those that were recorded when it was written.
    #[error("{}: the content has digest {found}, the manifest recorded {expected}; the file was changed or damaged", path.display())]
    Digest {
        /// The artifact's path.
        path: PathBuf,
        /// BLAKE3 digest of the recorded content, in hexadecimal.
        expected: String,
        /// BLAKE3 digest of the content found, in hexadecimal.
        found: String,
    },
    /// The manifest of digests has a line that this program did not write.
    #[error("{}: line {line} is not `<64 hexadecimal digits>  <name>`; repair the line or remove it", path.display())]
    Manifest {
        /// The manifest's path.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
    },
    /// What is said of the store's place names none.
    #[error("{uri}: {reason}")]
    Uri {
        /// The URI as it was given.
        uri: String,
        /// What is wrong with it, and what is expected.
        reason: String,
    },
    /// The object store does not answer, or answers that it cannot now: the same request may succeed later.
    #[error(
        "{uri}: cannot {action}: the object store cannot be reached, or is overloaded; check the network and the endpoint, and try again"
    )]
    Unavailable {
        /// The object or prefix in question.
        uri: String,
        /// What was being done.
        action: &'static str,
        /// The store's own words.
        source: Box<object_store::Error>,
    },
    /// The object store refuses these credentials.
    #[error(
        "{uri}: cannot {action}: access is denied; check {variables}, and what they may do in this bucket"
    )]
    Denied {
        /// The object or prefix in question.
        uri: String,
        /// What was being done.
        action: &'static str,
        /// The environment variables that hold the credentials.
        variables: &'static str,
        /// The store's own words.
        source: Box<object_store::Error>,
    },
    /// There is no such bucket, or container.
    #[error("{uri}: there is no such bucket or container; create it, or correct the URI")]
    NoBucket {
        /// The object or prefix in question.
        uri: String,
    },
    /// The object store refuses the request, and will again.
    #[error("{uri}: cannot {action}")]
    Remote {
        /// The object or prefix in question.
        uri: String,
        /// What was being done.
        action: &'static str,
        /// The store's own words.
        source: Box<object_store::Error>,
    },
    /// The server that hands the artifacts through does not answer, or refuses.
    #[error("{uri}: cannot {action}")]
    Server {
        /// The artifact or folder in question.
        uri: String,
        /// What was being done.
        action: &'static str,
        /// Whether the same request may succeed later.
        is_transient: bool,
        /// The client's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file changed while it was copied.
    #[error("{}: changed while it was being copied; stop who writes to it, and put it again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A key, or an encrypted file, cannot be used.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// Any other failure of the file system.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The file or folder in question.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's own words.
        source: io::Error,
    },
}

impl StorageError {
    /// Whether the same request may succeed later, without anything being changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Server { is_transient, .. } => *is_transient,
            Self::Io { source, .. } => matches!(
                source.kind(),
                ErrorKind::Interrupted
                    | ErrorKind::TimedOut
                    | ErrorKind::WouldBlock
                    | ErrorKind::ResourceBusy
            ),
            _ => false,
        }
    }

    /// What an `io::Error` of a stream of this crate is about; any other is one of reading `path`.
    #[must_use]
    pub fn from_stream(path: &Path, action: &'static str, error: io::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(error) => return error,
            Err(error) => error,
        };
        match error.downcast::<EncryptionError>() {
            Ok(error) => error.into(),
            Err(error) => Self::on_read(path, action, error),
        }
    }

    /// Sorts a system error on a write to `path` into its variant.
    pub(crate) fn on_write(path: &Path, action: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { path },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io { path, action, source },
        }
    }

    /// Sorts a system error on a read of `path` into its variant.
    pub(crate) fn on_read(path: &Path, action: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Self::Missing { path },
            _ => Self::Io { path, action, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_reported_as_such() {
        // `/dev/full` answers every write as a full disk does.
        let path = Path::new("/dev/full");
        let source = std::fs::write(path, b"1").unwrap_err();
        let error = StorageError::on_write(path, "write the file", source);
        assert!(matches!(error, StorageError::Full { .. }), "{error:?}");
        assert!(error.to_string().starts_with("/dev/full: no space left"), "{error}");
    }
}
