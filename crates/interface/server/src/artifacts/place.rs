//! The place where artifacts lie: the one seam between the server and `fulmen-storage`.

use std::{io::Read, path::PathBuf, sync::Arc, time::Duration};

use fulmen_encryption::{Keyring, ScopedKeyring};
use fulmen_storage::{ArtifactName, ArtifactReader, ArtifactStore, StorageError};

/// Holds the parts of uploads; the prefix makes every store leave the folder out of listings and refuse its name.
const UPLOADS: &str = ".fulmen-unfinished-uploads";
/// A multipart upload that nobody has completed for so long is given up.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A file or folder in the place.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name in its folder.
    pub(super) name: String,
    /// Size in bytes; `None` for a folder.
    pub(super) size: Option<u64>,
}

/// A folder or prefix of artifacts. Those of each run and model are a store of their own, as `fulmen train` writes them.
#[derive(Debug)]
pub(crate) struct Place {
    whole: ArtifactStore,
    /// What everything in it is encrypted under; none: it is not.
    keyring: Option<Arc<Keyring>>,
    /// Where the parts of uploads wait.
    uploads: PathBuf,
    /// Keeps that folder, where it is not in the place itself.
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    /// The place at a path or URI. Where there is a `keyring`, everything in it is encrypted.
    pub(crate) fn open(uri: &str, keyring: Option<Arc<Keyring>>) -> Result<Self, StorageError> {
        let mut whole = ArtifactStore::open(uri)?;
        let Some(local) = whole.local() else {
            let failed =
                |source| StorageError::Io { path: std::env::temp_dir(), action: "create a folder", source };
            let temporary = tempfile::tempdir().map_err(failed)?;
            let uploads = temporary.path().to_path_buf();
            return Ok(Self { whole, keyring, uploads, _temporary: Some(temporary) });
        };
        // Names stay what they are if the program changes its folder.
        let root = std::path::absolute(local.root()).unwrap_or_else(|_| local.root().to_path_buf());
        let uploads = root.join(UPLOADS);
        whole = ArtifactStore::new(root);
        Ok(Self { whole, keyring, uploads, _temporary: None })
    }

    /// What lies directly in `folder`; nothing where there is no such folder, as in MLflow.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<Entry>, StorageError> {
        let (store, folder) = self.store_of(folder)?;
        let listing = match store.list(folder) {
            Ok(listing) => listing,
            Err(StorageError::Missing { .. } | StorageError::Type { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let folders = listing.folders.iter().map(|folder| Entry { name: last(&folder.name), size: None });
        let mut entries: Vec<Entry> = folders.collect();
        for file in &listing.files {
            let size = match &self.keyring {
                None => file.size,
                Some(_) => match store.content_size(file.name.as_str()) {
                    // It was removed since the folder was read.
                    Err(StorageError::Missing { .. }) => continue,
                    size => size?,
                },
            };
            entries.push(Entry { name: last(&file.name), size: Some(size) });
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    /// The file `name` and the size of its content in bytes.
    pub(super) fn read(&self, name: &str) -> Result<(ArtifactReader, u64), StorageError> {
        let (store, inner) = self.store_of(name)?;
        Ok((store.reader(inner)?, store.content_size(inner)?))
    }

    /// Writes all that `content` yields under `name`: whole, or not at all.
    pub(super) fn write(&self, name: &str, content: impl Read) -> Result<(), StorageError> {
        let (store, inner) = self.store_of(name)?;
        store.put_reader(inner, content).map(drop)
    }

    /// Removes the file or the whole folder `name`.
    pub(super) fn delete(&self, name: &str) -> Result<(), StorageError> {
        let (store, inner) = self.store_of(name)?;
        if !inner.is_empty() {
            return store.delete(inner);
        }
        let listing = store.list("")?;
        if listing.folders.is_empty() && listing.files.is_empty() {
            return Err(StorageError::Missing { path: name.into() });
        }
        store.delete_all()
    }

    /// Holds the parts of the upload `id`.
    pub(super) fn parts(&self, id: &str) -> ArtifactStore {
        self.encrypted(ArtifactStore::new(self.uploads.join(id)), id)
    }

    /// Removes the parts of uploads that nobody has completed for days.
    pub(super) fn give_up_abandoned(&self) {
        let Ok(uploads) = std::fs::read_dir(&self.uploads) else { return };
        for upload in uploads.flatten().filter(|upload| upload.path().is_dir()) {
            let modified = upload.metadata().and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > ABANDONED)) {
                // What cannot be removed now is tried again at the next upload.
                let _ = ArtifactStore::new(upload.path()).delete_all();
            }
        }
    }

    /// The store that keeps `name`, and the name in it: the artifacts of a run or model begin after the part `artifacts`. Where they
    /// are encrypted they belong to what the part before it names, as `fulmen artifacts` has it: to the run's id.
    fn store_of<'name>(&self, name: &'name str) -> Result<(ArtifactStore, &'name str), StorageError> {
        if !name.is_empty() {
            ArtifactName::new(name)?;
            let (mut end, mut owner) = (0, "");
            for part in name.split('/') {
                end += part.len();
                if part == "artifacts" && end > part.len() {
                    // A link on the way to the run's folder would lead its store astray: that is refused here.
                    let store = self.whole.below(&name[..end])?;
                    return Ok((self.encrypted(store, owner), name[end..].trim_start_matches('/')));
                }
                end += 1;
                owner = part;
            }
        }
        Ok((self.encrypted(self.whole.clone(), ""), name))
    }

    fn encrypted(&self, store: ArtifactStore, owner: &str) -> ArtifactStore {
        match &self.keyring {
            Some(keyring) => store.encrypted(ScopedKeyring::new(keyring.clone(), owner)),
            None => store,
        }
    }
}

fn last(name: &ArtifactName) -> String {
    name.as_str().rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_artifacts_of_a_run_are_a_store_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::open(folder.path().to_str().unwrap(), None).unwrap();
        place.write("0/r/artifacts/a/b.txt", &b"1"[..]).unwrap();
        assert!(
            folder.path().join("0/r/artifacts.b3").is_file(),
            "with the manifest that `fulmen train` writes"
        );
        assert_eq!(place.list("0/r/artifacts/a").unwrap()[0].name, "b.txt");
        assert_eq!(place.list("0/r/artifacts").unwrap()[0].size, None);
        assert_eq!(place.list("none/at/all").unwrap().len(), 0);
        assert_eq!(place.read("0/r/artifacts/a/b.txt").unwrap().1, 1);
        place.delete("0/r/artifacts").unwrap();
        assert!(place.read("0/r/artifacts/a/b.txt").is_err() && place.delete("0/r/artifacts").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_place_are_not_followed_at_any_level() {
        let (folder, secret) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(secret.path().join("artifacts")).unwrap();
        std::fs::write(secret.path().join("artifacts/key"), "secret").unwrap();
        std::fs::create_dir_all(folder.path().join("0/q/artifacts")).unwrap();
        let link = |name: &str, to: &Path| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
        link("0/r", secret.path());
        link("0/q/artifacts/deep", secret.path());
        let place = Place::open(folder.path().to_str().unwrap(), None).unwrap();
        for name in ["0/r/artifacts/key", "0/q/artifacts/deep/artifacts/key"] {
            assert!(place.read(name).is_err(), "{name}");
            assert!(place.write(name, &b"x"[..]).is_err() && place.delete(name).is_err(), "{name}");
        }
        assert!(place.list("0/r/artifacts").is_err());
        assert_eq!(std::fs::read_to_string(secret.path().join("artifacts/key")).unwrap(), "secret");
    }

    #[test]
    fn an_object_store_is_a_place_too_encrypted_or_not() {
        for keyring in [None, Some(Arc::new(Keyring::generate()))] {
            let whole = ArtifactStore::memory();
            let place = Place { whole: whole.clone(), keyring, uploads: PathBuf::new(), _temporary: None };
            place.write("0/r/artifacts/a/b.txt", &b"hello"[..]).unwrap();
            assert_eq!(place.list("0/r/artifacts").unwrap()[0].name, "a");
            assert_eq!(place.list("0/r/artifacts/a").unwrap()[0].size, Some(5));
            let (mut content, size) = place.read("0/r/artifacts/a/b.txt").unwrap();
            content.skip(2).unwrap();
            let mut rest = String::new();
            content.read_to_string(&mut rest).unwrap();
            assert_eq!((size, rest.as_str()), (5, "llo"));
            let stored = whole.info("0/r/artifacts/a/b.txt").unwrap().size;
            assert_eq!(stored > 5, place.keyring.is_some());
            place.delete("0/r/artifacts/a").unwrap();
            assert!(place.read("0/r/artifacts/a/b.txt").is_err());
        }
        assert!(Place::open("mlflow-artifacts:/x", None).is_err());
    }

    #[test]
    fn an_encrypted_place_is_read_as_the_artifacts_of_its_runs() {
        let (folder, keyring) = (tempfile::tempdir().unwrap(), Arc::new(Keyring::generate()));
        let place = Place::open(folder.path().to_str().unwrap(), Some(keyring.clone())).unwrap();
        let large: Vec<u8> = (0..300_000_u32).map(|index| (index % 251) as u8).collect();
        place.write("0/r/artifacts/a/large.bin", large.as_slice()).unwrap();
        // As `fulmen artifacts` reads it.
        let run = ArtifactStore::new(folder.path().join("0/r/artifacts"));
        let mut read = Vec::new();
        let artifacts = run.encrypted(ScopedKeyring::new(keyring, "r"));
        artifacts.reader("a/large.bin").unwrap().read_to_end(&mut read).unwrap();
        assert!(read == large);
        for from in [0, 1, 65_500, 65_536, 131_072, 299_999] {
            let (mut content, size) = place.read("0/r/artifacts/a/large.bin").unwrap();
            content.skip(from).unwrap();
            let mut rest = Vec::new();
            content.read_to_end(&mut rest).unwrap();
            assert!(size == 300_000 && rest == large[usize::try_from(from).unwrap()..], "from {from}");
        }
        std::fs::write(folder.path().join("0/r/artifacts/plain.txt"), "put there by somebody").unwrap();
        assert!(matches!(place.read("0/r/artifacts/plain.txt"), Err(StorageError::Encryption(_))));
    }
}
