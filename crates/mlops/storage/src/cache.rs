//! The cache of prepared data: what preparing made of some inputs under some configuration, found again by both.
//!
//! ```text
//! <root>/
//! ├── lock                held for the moment in which something is moved or removed
//! ├── entries/<key>/      data/… its files · data.b3 their digests · entry.json what it is · used a lock, and the time of last use
//! └── unfinished/<id>/    what is being made, or removed; <id>.lock is held meanwhile
//! ```
//!
//! An entry appears by one rename and is never changed. Whoever uses one holds a shared lock on its file `used`; it is not evicted
//! then. Locks go with their process, so that a killed one leaves nothing but a folder in `unfinished`, which the next that inserts
//! or prunes removes.

mod entry;
mod evict;
mod insert;
mod key;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fulmen_encryption::{Keyring, ScopedKeyring};

pub use self::{
    entry::{CacheEntry, CacheInfo},
    evict::Pruned,
    insert::CacheWriter,
    key::CacheKey,
};
use crate::{ArtifactStore, StorageError, local::create_folders};

/// Suffix of the folders of encrypted entries: data that is to be encrypted is never taken from a plain entry.
const ENCRYPTED: &str = ".age";

/// A cache in a folder, which processes share.
#[derive(Debug, Clone)]
pub struct DatasetCache {
    root: PathBuf,
    limit: Option<u64>,
    keyring: Option<Arc<Keyring>>,
}

impl DatasetCache {
    /// The cache in the folder `root`, which is made by the first insertion.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), limit: None, keyring: None }
    }

    /// The same cache, kept at or below `bytes`: what was used longest ago goes first.
    #[must_use]
    pub fn with_limit(self, bytes: u64) -> Self {
        Self { limit: Some(bytes), ..self }
    }

    /// The same cache, with its data encrypted under `keyring`; configurations and digests in `entry.json` are not.
    #[must_use]
    pub fn encrypted(self, keyring: Arc<Keyring>) -> Self {
        Self { keyring: Some(keyring), ..self }
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn entries(&self) -> PathBuf {
        self.root.join("entries")
    }

    fn unfinished(&self) -> PathBuf {
        self.root.join("unfinished")
    }

    /// Name of an entry's folder.
    fn folder_name(&self, key: &CacheKey) -> String {
        if self.keyring.is_some() { format!("{}{ENCRYPTED}", key.id()) } else { key.id().to_owned() }
    }

    /// The files of the entry in `folder`, which is named `name` once it is in its place.
    fn store(&self, folder: &Path, name: &str) -> ArtifactStore {
        let store = ArtifactStore::new(folder.join("data"));
        match &self.keyring {
            Some(keyring) if name.ends_with(ENCRYPTED) => {
                store.encrypted(ScopedKeyring::new(keyring.clone(), name))
            }
            _ => store,
        }
    }

    /// Waits for the lock under which entries come and go.
    fn lock(&self) -> Result<File, StorageError> {
        for folder in [self.entries(), self.unfinished()] {
            create_folders(&folder)
                .map_err(|error| StorageError::on_write(&folder, "create the folder", error))?;
        }
        let path = self.root.join("lock");
        let file = lock_file(&path)?;
        file.lock().map_err(|error| StorageError::on_write(&path, "lock the cache", error))?;
        Ok(file)
    }

    /// Names of the folders in `folder`; none where it is not there.
    fn folders_in(folder: &Path) -> Result<Vec<String>, StorageError> {
        let failed = |error| StorageError::on_read(folder, "list the cache", error);
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if let (true, Ok(name)) = (entry.path().is_dir(), entry.file_name().into_string()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Opens, or makes, a file for its lock.
fn lock_file(path: &Path) -> Result<File, StorageError> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| StorageError::on_write(path, "open the lock", error))
}
