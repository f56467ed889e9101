//! The cache of prepared data, as data modules are handed it.

use std::io::Read as _;
use std::sync::Arc;

use fulmen_base::events::EventSink;
use fulmen_base::{Error, PreparedCache, Result};
use fulmen_contracts::event::Level;
use fulmen_contracts::settings::CacheConfig;
use fulmen_encryption::Keyring;
use fulmen_storage::{CacheEntry, CacheKey, DatasetCache, StorageError};
use serde_json::Value;

/// The one file of an entry.
const FILE: &str = "data";

/// The cache, and whoever is told of trouble with it.
#[derive(Debug)]
pub(crate) struct Prepared {
    cache: DatasetCache,
    events: EventSink,
}

/// Why there is no new entry.
enum Failure {
    Preparing(Error),
    Keeping(StorageError),
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Keeping(error)
    }
}

impl Prepared {
    /// The cache of the configuration; none where nothing is to be kept, or there is no folder for it.
    pub(crate) fn open(
        settings: &CacheConfig,
        keyring: Option<Arc<Keyring>>,
        events: EventSink,
    ) -> Option<Self> {
        let limit = settings.limit_bytes();
        if limit == Some(0) {
            return None;
        }
        let mut cache = DatasetCache::new(settings.place()?);
        if let Some(limit) = limit {
            cache = cache.with_limit(limit);
        }
        if let Some(keyring) = keyring {
            cache = cache.encrypted(keyring);
        }
        Some(Self { cache, events })
    }

    fn warn(&self, error: &StorageError) {
        self.events.log(Level::Warning, format!("the cache of prepared data cannot be used: {error}"));
    }

    /// What the entry of `key` holds. One that is damaged is told of and removed: it is made again.
    fn found(&self, key: &CacheKey) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(entry) = self.cache.get(key)? else { return Ok(None) };
        match read(&entry) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error @ (StorageError::Digest { .. } | StorageError::Encryption(_))) => {
                self.events.log(Level::Warning, format!("{error}; it is prepared again"));
                let path = entry.path().to_path_buf();
                drop(entry);
                self.cache.remove(&path)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// All of an entry's file, found to be as it was written.
fn read(entry: &CacheEntry) -> Result<Vec<u8>, StorageError> {
    if entry.folder().is_some() {
        entry.verify()?;
    }
    let mut bytes = Vec::new();
    let read = entry.reader(FILE)?.read_to_end(&mut bytes);
    read.map_err(|error| StorageError::from_stream(&entry.path().join(FILE), "read the file", error))?;
    Ok(bytes)
}

impl PreparedCache for Prepared {
    fn get_or_prepare(
        &self,
        config: &Value,
        inputs: &[(String, String)],
        prepare: &mut dyn FnMut() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let key = CacheKey::new(config, inputs.iter().cloned());
        let found = key.and_then(|key| Ok((self.found(&key)?, key)));
        let key = match found {
            Ok((Some(bytes), _)) => return Ok(bytes),
            Ok((None, key)) => key,
            Err(error) => {
                self.warn(&error);
                return prepare();
            }
        };
        let mut made = None;
        let kept = self.cache.get_or_insert::<Failure>(&key, |writer| {
            let bytes = made.insert(prepare().map_err(Failure::Preparing)?);
            Ok(writer.put(FILE, bytes.as_slice())?)
        });
        // Of several processes that wanted it at once, another may have made it.
        let read = match (kept, made) {
            (Err(Failure::Preparing(error)), _) => return Err(error),
            (Ok(_), Some(bytes)) => return Ok(bytes),
            (Ok(entry), None) => read(&entry),
            (Err(Failure::Keeping(error)), Some(bytes)) => {
                self.warn(&error);
                return Ok(bytes);
            }
            (Err(Failure::Keeping(error)), None) => Err(error),
        };
        read.or_else(|error| {
            self.warn(&error);
            prepare()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;

    struct Test {
        folder: tempfile::TempDir,
        told: Arc<Mutex<Vec<String>>>,
    }

    impl Test {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), told: Arc::default() }
        }

        fn open(&self, keyring: Option<&Arc<Keyring>>) -> Prepared {
            let folder = Some(self.folder.path().join("prepared").display().to_string());
            let told = self.told.clone();
            let events = EventSink::new(move |event| told.lock().unwrap().push(format!("{event:?}")));
            let settings = CacheConfig { folder, ..CacheConfig::default() };
            Prepared::open(&settings, keyring.cloned(), events).unwrap()
        }

        /// Asks for it; the bytes, and whether they were made for it.
        fn ask(&self, cache: &Prepared, content: &[u8]) -> (Vec<u8>, bool) {
            let mut was_made = false;
            let inputs = [("images".to_owned(), "abc".to_owned())];
            let bytes = cache.get_or_prepare(&json!({"_target_": "test"}), &inputs, &mut || {
                was_made = true;
                Ok(content.to_vec())
            });
            (bytes.unwrap(), was_made)
        }

        fn files(&self) -> Vec<std::path::PathBuf> {
            let entries = self.folder.path().join("prepared/entries");
            let entries = std::fs::read_dir(entries).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|entry| entry.join("data/data")).collect()
        }
    }

    #[test]
    fn what_was_prepared_is_found_by_the_next_and_made_again_where_it_is_damaged() {
        for keyring in [None, Some(Arc::new(Keyring::generate()))] {
            let test = Test::new();
            assert_eq!(test.ask(&test.open(keyring.as_ref()), b"prepared"), (b"prepared".to_vec(), true));
            assert_eq!(test.ask(&test.open(keyring.as_ref()), b"other"), (b"prepared".to_vec(), false));
            let files = test.files();
            let mut bytes = std::fs::read(&files[0]).unwrap();
            assert_eq!(bytes == b"prepared", keyring.is_none());
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            std::fs::write(&files[0], bytes).unwrap();
            assert!(test.told.lock().unwrap().is_empty());
            assert_eq!(test.ask(&test.open(keyring.as_ref()), b"prepared"), (b"prepared".to_vec(), true));
            assert!(test.told.lock().unwrap()[0].contains("it is prepared again"));
            assert_eq!(test.ask(&test.open(keyring.as_ref()), b"other"), (b"prepared".to_vec(), false));
        }
    }

    #[test]
    fn a_cache_that_cannot_be_used_costs_time_and_nothing_else() {
        let test = Test::new();
        std::fs::write(test.folder.path().join("prepared"), "no folder").unwrap();
        let cache = test.open(None);
        assert_eq!(test.ask(&cache, b"prepared"), (b"prepared".to_vec(), true));
        assert!(test.told.lock().unwrap()[0].contains("the cache of prepared data cannot be used"));
    }

    #[test]
    fn a_fault_of_the_data_is_told_as_it_is_and_leaves_no_entry() {
        let (test, none) = (Test::new(), CacheConfig { size_limit_gib: Some(0.0), ..CacheConfig::default() });
        let cache = test.open(None);
        let failed =
            cache.get_or_prepare(&json!({}), &[], &mut || Err(Error::data("photo.jpg", "is no image")));
        assert_eq!(failed.unwrap_err().to_string(), "photo.jpg: is no image");
        assert_eq!(test.files(), Vec::<std::path::PathBuf>::new());
        assert!(Prepared::open(&none, None, EventSink::new(|_| {})).is_none(), "a limit of 0 keeps nothing");
    }
}
