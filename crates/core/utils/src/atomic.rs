//! Files that are there whole or not at all: written beside, flushed to the disk, renamed into place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

/// Why a file or folder could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk, or the owner's share of it, is full.
    #[error("the disk is full: cannot write {}; free some space or choose another folder", .path.display())]
    Full {
        /// What was to be written.
        path: PathBuf,
    },
    /// The place may not be written to.
    #[error("cannot write {}: {reason}; choose a folder that you may write to", .path.display())]
    Denied {
        /// What was to be written.
        path: PathBuf,
        /// `permission denied` or `read-only file system`.
        reason: &'static str,
    },
    /// Anything else.
    #[error("cannot write {}", .path.display())]
    Other {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl WriteError {
    /// Names the path and, where it is known, the way out of what the system said.
    pub fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::PermissionDenied => Self::Denied { path, reason: "permission denied" },
            io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { path, reason: "the file system is read-only" }
            }
            _ => Self::Other { path, source },
        }
    }
}

/// Writes `contents` to `path`, replacing what was there in one step.
///
/// # Errors
/// When the folder is missing or may not be written to, or the disk is full; the old file is then as it was.
pub fn write(path: &Path, contents: &[u8]) -> Result<(), WriteError> {
    write_with(path, |file| file.write_all(contents))
}

/// As [`write`], for contents that are made while they are written.
///
/// # Errors
/// As [`write`], and whatever `fill` returns.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), WriteError> {
    let beside = beside(path);
    let written = (|| {
        let mut file = File::create(&beside)?;
        fill(&mut file)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder(path)
    })();
    written.map_err(|source| {
        // What is left beside is ours alone; a failure to remove it changes nothing for the caller.
        let _ = fs::remove_file(&beside);
        WriteError::new(path, source)
    })
}

/// Makes the folder `path` and those above it.
///
/// # Errors
/// When a part of the path is a file, or may not be written to.
pub fn create_folder(path: &Path) -> Result<(), WriteError> {
    fs::create_dir_all(path).map_err(|source| WriteError::new(path, source))
}

/// Gives the folder (or file) `beside` the name `path` in one step, and flushes that. What was at `path` before is at `beside`
/// then. Where the file system cannot exchange two names (NFS), `path` is missing for a moment.
///
/// # Errors
/// When the folder may not be written to; both are then where they were.
pub fn put_in_place(beside: &Path, path: &Path) -> Result<(), WriteError> {
    let moved = match exchange(beside, path) {
        Err(Errno::NOENT) => fs::rename(beside, path),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => exchange_in_three_steps(beside, path),
        done => done.map_err(io::Error::from),
    };
    moved.and_then(|()| sync_folder(path)).map_err(|source| WriteError::new(path, source))
}

fn exchange(beside: &Path, path: &Path) -> Result<(), Errno> {
    rustix::fs::renameat_with(CWD, beside, CWD, path, RenameFlags::EXCHANGE)
}

fn exchange_in_three_steps(beside: &Path, path: &Path) -> io::Result<()> {
    let old = self::beside(path);
    fs::rename(path, &old)?;
    fs::rename(beside, path).inspect_err(|_| {
        // Back to where it was; the first error is the one to tell.
        let _ = fs::rename(&old, path);
    })?;
    fs::rename(&old, beside)
}

/// Flushes a file, or the entries of a folder, to the disk.
///
/// # Errors
/// What the system said.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Flushes the entry of `path` in its folder, so that a rename outlives a power cut.
///
/// # Errors
/// What the system said.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync(folder),
        _ => Ok(()),
    }
}

/// Bytes that an ordinary user can still write on the disk of `path`; none where the system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// A name in the same folder that no one else uses: same file system, so that the rename is one step.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.part", crate::ids::short()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_old_file_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, b"old").unwrap();
        let failure = write_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(matches!(failure, Err(WriteError::Full { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_folders_change_places_in_either_way() {
        let in_three =
            |a: &Path, b: &Path| exchange_in_three_steps(a, b).map_err(|source| WriteError::new(b, source));
        for exchange in [put_in_place, in_three] {
            let folder = tempfile::tempdir().unwrap();
            let (new, old) = (folder.path().join(".new"), folder.path().join("name"));
            for (path, text) in [(&new, "new"), (&old, "old")] {
                fs::create_dir(path).unwrap();
                fs::write(path.join("text"), text).unwrap();
            }
            exchange(&new, &old).unwrap();
            assert_eq!(fs::read(old.join("text")).unwrap(), b"new");
            assert_eq!(fs::read(new.join("text")).unwrap(), b"old");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn a_missing_folder_is_named() {
        let message = write(Path::new("/no/such/folder/a.txt"), b"x").unwrap_err().to_string();
        assert!(message.contains("/no/such/folder/a.txt"), "{message}");
    }
}
