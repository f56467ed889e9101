//! What can go wrong with an artifact, each with its path and the way out.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

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
