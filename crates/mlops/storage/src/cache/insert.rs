//! Making entries.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::SystemTime,
};

use fulmen_utils::{atomic, ids};

use super::{
    CacheEntry, CacheKey, DatasetCache,
    entry::{Description, milliseconds},
    lock_file,
};
use crate::{ArtifactStore, ArtifactWriter, StorageError};

/// Extension of the file whose lock is held by who makes an entry.
pub(super) const MAKING: &str = "making";

/// Takes the files of a new entry.
#[derive(Debug)]
pub struct CacheWriter {
    store: ArtifactStore,
}

impl CacheWriter {
    /// Begins a file; it counts once its writer is finished.
    ///
    /// # Errors
    /// As [`ArtifactStore::create`].
    pub fn create(&self, name: &str) -> Result<ArtifactWriter, StorageError> {
        self.store.create(name)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// As [`ArtifactStore::put_reader`].
    pub fn put(&self, name: &str, content: impl Read) -> Result<(), StorageError> {
        self.store.put_reader(name, content).map(drop)
    }
}

/// A folder in `unfinished` and the lock that says somebody is at work in it. What is left of it goes when this is dropped.
struct Workplace {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next that prunes.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
    }
}

impl DatasetCache {
    /// The entry of `key`; where there is none, `fill` makes it. Of several processes that want the same one at once, one makes
    /// it, and the others wait. An error of `fill` leaves no entry.
    ///
    /// # Errors
    /// What `fill` returns, and where the cache cannot be read or written.
    pub fn get_or_insert<E: From<StorageError>>(
        &self,
        key: &CacheKey,
        fill: impl FnOnce(&CacheWriter) -> Result<(), E>,
    ) -> Result<CacheEntry, E> {
        if let Some(entry) = self.get(key)? {
            return Ok(entry);
        }
        let name = self.folder_name(key);
        let making = self.making(&name)?;
        if let Some(entry) = self.get(key)? {
            return Ok(entry);
        }
        let work = self.workplace()?;
        let writer = CacheWriter { store: self.store(&work.folder, &name) };
        fill(&writer)?;
        let entry = self.put_in_place(key, &name, &work, &writer)?;
        drop(work);
        drop(making);
        if let Some(limit) = self.limit {
            // The new entry is in use, and stays.
            self.prune(limit)?;
        }
        Ok(entry)
    }

    /// Waits until nobody else makes the entry `name`.
    fn making(&self, name: &str) -> Result<File, StorageError> {
        drop(self.lock()?);
        let path = self.unfinished().join(format!("{name}.{MAKING}"));
        let file = lock_file(&path)?;
        file.lock().map_err(|error| StorageError::on_write(&path, "wait for the entry", error))?;
        Ok(file)
    }

    fn workplace(&self) -> Result<Workplace, StorageError> {
        // Under the lock: nobody takes the folder for one that was left behind before its own lock is held.
        let _lock = self.lock()?;
        let folder = self.unfinished().join(ids::run_id());
        let lock_path = folder.with_extension("lock");
        let lock = lock_file(&lock_path)?;
        lock.lock().map_err(|error| StorageError::on_write(&lock_path, "lock the new entry", error))?;
        fs::create_dir(&folder)
            .map_err(|error| StorageError::on_write(&folder, "create the folder", error))?;
        Ok(Workplace { folder, lock_path, _lock: lock })
    }

    fn put_in_place(
        &self,
        key: &CacheKey,
        name: &str,
        work: &Workplace,
        writer: &CacheWriter,
    ) -> Result<CacheEntry, StorageError> {
        let files = writer.store.files()?;
        let description = Description {
            key: key.clone(),
            created: milliseconds(SystemTime::now()),
            size: files.iter().map(|file| file.size).sum(),
            files: files.len(),
        };
        let path = self.entries().join(name);
        let failed = |error: std::io::Error| StorageError::on_write(&path, "write the entry", error);
        let text = serde_json::to_vec_pretty(&description).map_err(|error| failed(error.into()))?;
        write(&work.folder.join("entry.json"), &text)?;
        write(&work.folder.join("used"), b"")?;
        atomic::sync(&work.folder).map_err(failed)?;
        {
            let _lock = self.lock()?;
            if let Some(entry) = self.pin(name)? {
                // Another was quicker after all: the file that the two waited for had been swept.
                return Ok(entry);
            }
            // What is there is not whole, or it would have been found.
            self.set_aside(name)?;
            fs::rename(&work.folder, &path).map_err(failed)?;
            atomic::sync_folder(&path).map_err(failed)?;
        }
        let gone = || StorageError::Missing { path: path.clone() };
        self.pin(name)?.ok_or_else(gone)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    fs::write(path, bytes)
        .and_then(|()| atomic::sync(path))
        .map_err(|error| StorageError::on_write(path, "write the entry", error))
}
