//! Removing entries: those that were used longest ago, those that are not whole, all of them.

use std::{fs, fs::File};

use fulmen_utils::ids;

use super::{DatasetCache, entry::description, insert::MAKING, lock_file};
use crate::StorageError;

/// What was removed from a cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids of the entries removed.
    pub removed: Vec<String>,
    /// Bytes of their files.
    pub freed: u64,
    /// Ids of the entries that would have gone, but are in use.
    pub in_use: Vec<String>,
    /// Bytes that are left.
    pub size: u64,
}

impl DatasetCache {
    /// Removes what was used longest ago until the cache is at or below `limit` bytes, except for what is in use; and what killed
    /// processes left behind.
    ///
    /// # Errors
    /// When the cache cannot be read or written.
    pub fn prune(&self, limit: u64) -> Result<Pruned, StorageError> {
        let mut pruned = Pruned::default();
        if !self.root().is_dir() {
            return Ok(pruned);
        }
        let aside = {
            let _lock = self.lock()?;
            let mut aside = self.left_behind()?;
            for name in Self::folders_in(&self.entries())? {
                if description(&self.entries().join(&name), &name).is_none() {
                    aside.extend(self.set_aside(&name)?);
                }
            }
            let mut entries = self.list()?;
            pruned.size = entries.iter().map(|info| info.size).sum();
            while pruned.size > limit {
                let Some(oldest) = entries.pop() else { break };
                let name = oldest.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let id = oldest.key.id().to_owned();
                match self.set_aside(&name)? {
                    Some(name) => {
                        aside.push(name);
                        pruned.size -= oldest.size;
                        pruned.freed += oldest.size;
                        pruned.removed.push(id);
                    }
                    None => pruned.in_use.push(id),
                }
            }
            aside
        };
        self.discard(&aside);
        Ok(pruned)
    }

    /// Removes every entry that is not in use.
    ///
    /// # Errors
    /// As [`prune`](Self::prune).
    pub fn clear(&self) -> Result<Pruned, StorageError> {
        self.prune(0)
    }

    /// Removes the entry in this folder of the cache, such as [`CacheInfo::path`](super::CacheInfo::path) names; false where it is
    /// in use, or gone.
    ///
    /// # Errors
    /// As [`prune`](Self::prune).
    pub fn remove(&self, path: &std::path::Path) -> Result<bool, StorageError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let aside = {
            let _lock = self.lock()?;
            self.set_aside(&name)?
        };
        self.discard(aside.as_slice());
        Ok(aside.is_some())
    }

    /// Takes an entry out of its place, in one step, unless it is in use. The cache's lock is held. Returns where it went.
    pub(super) fn set_aside(&self, name: &str) -> Result<Option<String>, StorageError> {
        let path = self.entries().join(name);
        if !path.is_dir() {
            return Ok(None);
        }
        // An entry without the file is not whole, and nobody can use it.
        let used = File::options().read(true).write(true).open(path.join("used")).ok();
        if used.as_ref().is_some_and(|used| used.try_lock().is_err()) {
            return Ok(None);
        }
        let aside = ids::run_id();
        fs::rename(&path, self.unfinished().join(&aside))
            .map_err(|error| StorageError::on_write(&path, "remove the entry", error))?;
        Ok(Some(aside))
    }

    /// Folders in `unfinished` that nobody works in; locks that nobody holds are removed. The cache's lock is held.
    fn left_behind(&self) -> Result<Vec<String>, StorageError> {
        for entry in fs::read_dir(self.unfinished()).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_lock = path.extension().is_some_and(|extension| extension == MAKING);
            if is_lock && lock_file(&path).is_ok_and(|lock| lock.try_lock().is_ok()) {
                // One that cannot be removed is in nobody's way.
                let _ = fs::remove_file(&path);
            }
        }
        let mut found = Self::folders_in(&self.unfinished())?;
        found.retain(|name| {
            let lock = lock_file(&self.unfinished().join(name).with_extension("lock"));
            lock.is_ok_and(|lock| lock.try_lock().is_ok())
        });
        Ok(found)
    }

    /// Removes folders of `unfinished`. One that cannot be removed is tried again by the next that prunes.
    fn discard(&self, names: &[String]) {
        for name in names {
            let folder = self.unfinished().join(name);
            let _ = fs::remove_dir_all(&folder);
            let _ = fs::remove_file(folder.with_extension("lock"));
        }
    }
}
