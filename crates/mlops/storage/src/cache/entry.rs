//! Entries that are there.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{CacheKey, DatasetCache, ENCRYPTED};
use crate::{Artifact, ArtifactReader, ArtifactStore, StorageError};

/// What `entry.json` holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Description {
    #[serde(flatten)]
    pub(super) key: CacheKey,
    /// Milliseconds since 1970.
    pub(super) created: u64,
    /// Bytes of the files, as stored.
    pub(super) size: u64,
    /// Number of files.
    pub(super) files: usize,
}

/// What there is to tell of an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheInfo {
    /// The key.
    pub key: CacheKey,
    /// Its folder.
    pub path: PathBuf,
    /// Whether its data is encrypted.
    pub encrypted: bool,
    /// Bytes of its files.
    pub size: u64,
    /// Number of its files.
    pub files: usize,
    /// When it was made, in milliseconds since 1970.
    pub created: u64,
    /// When it was last used, in milliseconds since 1970.
    pub used: u64,
    /// Whether somebody uses it at this moment.
    pub pinned: bool,
}

/// An entry in use. It is not evicted before this is dropped.
#[derive(Debug)]
pub struct CacheEntry {
    path: PathBuf,
    store: ArtifactStore,
    /// Holds the shared lock.
    _pin: File,
}

impl CacheEntry {
    /// Its folder in the cache.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens one of its files for reading.
    ///
    /// # Errors
    /// As [`ArtifactStore::reader`].
    pub fn reader(&self, name: &str) -> Result<ArtifactReader, StorageError> {
        self.store.reader(name)
    }

    /// Its files.
    ///
    /// # Errors
    /// As [`ArtifactStore::files`].
    pub fn files(&self) -> Result<Vec<Artifact>, StorageError> {
        self.store.files()
    }

    /// The folder of its files, to be read in place while this entry is held; none where they are encrypted.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        (!self.path.to_string_lossy().ends_with(ENCRYPTED)).then(|| self.path.join("data"))
    }

    /// Reads every file and holds it against its digest.
    ///
    /// # Errors
    /// The first that is damaged.
    pub fn verify(&self) -> Result<(), StorageError> {
        self.files()?.iter().try_for_each(|file| match self.store.verify(file.name.as_str())? {
            Some(_) => Ok(()),
            None => Err(StorageError::Missing { path: self.path.join("data.b3") }),
        })
    }
}

impl DatasetCache {
    /// The entry of `key`, which counts as used now; none where it is not there, or is not whole.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn get(&self, key: &CacheKey) -> Result<Option<CacheEntry>, StorageError> {
        self.pin(&self.folder_name(key))
    }

    /// Opens and pins the entry in the folder `name`.
    pub(super) fn pin(&self, name: &str) -> Result<Option<CacheEntry>, StorageError> {
        let path = self.entries().join(name);
        let used = path.join("used");
        // Opened for writing: a lock on a network file system asks for it.
        let Ok(pin) = File::options().read(true).write(true).open(&used) else { return Ok(None) };
        pin.lock_shared().map_err(|error| StorageError::on_read(&used, "lock the entry", error))?;
        // It may have been evicted between the two lines above.
        let is_same = fs::metadata(&used).ok().zip(pin.metadata().ok());
        if is_same.is_none_or(|(now, held)| (now.dev(), now.ino()) != (held.dev(), held.ino())) {
            return Ok(None);
        }
        let store = self.store(&path, name);
        let Some(description) = description(&path, name) else { return Ok(None) };
        let files = store.files()?;
        if files.len() != description.files
            || files.iter().map(|file| file.size).sum::<u64>() != description.size
        {
            return Ok(None);
        }
        // Only the order of eviction depends on it.
        let _ = pin.set_modified(SystemTime::now());
        Ok(Some(CacheEntry { path, store, _pin: pin }))
    }

    /// All entries, the one that was used last first. One whose description cannot be read is left out; pruning removes it.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn list(&self) -> Result<Vec<CacheInfo>, StorageError> {
        let names = Self::folders_in(&self.entries())?;
        let mut found: Vec<_> = names.iter().filter_map(|name| self.info_of(name)).collect();
        found.sort_by_key(|info| std::cmp::Reverse(info.used));
        Ok(found)
    }

    /// The entries whose ids begin with `id`.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn find(&self, id: &str) -> Result<Vec<CacheInfo>, StorageError> {
        let mut all = self.list()?;
        all.retain(|info| info.key.id().starts_with(id));
        Ok(all)
    }

    fn info_of(&self, name: &str) -> Option<CacheInfo> {
        let path = self.entries().join(name);
        let Description { key, created, size, files } = description(&path, name)?;
        let pin = File::options().read(true).write(true).open(path.join("used")).ok()?;
        let used = pin.metadata().ok()?.modified().ok()?;
        let pinned = matches!(pin.try_lock(), Err(TryLockError::WouldBlock));
        let encrypted = name.ends_with(ENCRYPTED);
        Some(CacheInfo { key, path, encrypted, size, files, created, used: milliseconds(used), pinned })
    }
}

/// What the entry in `path` says of itself, where that is right.
pub(super) fn description(path: &Path, name: &str) -> Option<Description> {
    let description: Description = serde_json::from_slice(&fs::read(path.join("entry.json")).ok()?).ok()?;
    let id = name.strip_suffix(ENCRYPTED).unwrap_or(name);
    (description.key.is_consistent() && description.key.id() == id).then_some(description)
}

pub(super) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
