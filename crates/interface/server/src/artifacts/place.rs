//! The place where artifacts lie: the one seam between the server and `fulmen-storage`.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use fulmen_storage::{ArtifactName, ArtifactReader, ArtifactStore, StorageError};

/// Holds the parts of uploads; the prefix makes every store leave the folder out of listings and refuse its name.
const UPLOADS: &str = ".fulmen-unfinished-uploads";
/// A multipart upload that nobody has completed for so long is given up.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The bytes of a file.
#[derive(Debug)]
pub(super) enum Content {
    /// Of a folder of this machine.
    File(File),
    /// Of an object store.
    Stream(ArtifactReader),
}

impl Content {
    /// Leaves out the first bytes.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<()> {
        match self {
            _ if count == 0 => Ok(()),
            Self::File(file) => file.seek(SeekFrom::Start(count)).map(drop),
            Self::Stream(stream) => io::copy(&mut stream.take(count), &mut io::sink()).map(drop),
        }
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stream(stream) => stream.read(buffer),
        }
    }
}

/// A file or folder in the place.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name in its folder.
    pub(super) name: String,
    /// Size in bytes; `None` for a folder.
    pub(super) size: Option<u64>,
}

/// A folder or prefix of artifacts. In a folder those of each run and model are a store of their own, as `fulmen train` writes them.
#[derive(Debug)]
pub(crate) struct Place {
    whole: ArtifactStore,
    /// Where the parts of uploads wait.
    uploads: PathBuf,
    /// Keeps that folder, where it is not in the place itself.
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    /// The place at a path or URI.
    pub(crate) fn open(uri: &str) -> Result<Self, StorageError> {
        let mut whole = ArtifactStore::open(uri)?;
        let Some(local) = whole.local() else {
            let failed =
                |source| StorageError::Io { path: std::env::temp_dir(), action: "create a folder", source };
            let temporary = tempfile::tempdir().map_err(failed)?;
            return Ok(Self { whole, uploads: temporary.path().to_path_buf(), _temporary: Some(temporary) });
        };
        // Names stay what they are if the program changes its folder.
        let root = std::path::absolute(local.root()).unwrap_or_else(|_| local.root().to_path_buf());
        let uploads = root.join(UPLOADS);
        whole = ArtifactStore::new(root);
        Ok(Self { whole, uploads, _temporary: None })
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
        let files = listing.files.iter().map(|file| Entry { name: last(&file.name), size: Some(file.size) });
        let mut entries: Vec<Entry> = folders.chain(files).collect();
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    /// The file `name` and its size in bytes.
    pub(super) fn read(&self, name: &str) -> Result<(Content, u64), StorageError> {
        let (store, inner) = self.store_of(name)?;
        let Some(local) = store.local() else {
            return Ok((Content::Stream(store.reader(inner)?), store.info(inner)?.size));
        };
        let file = local.open(inner)?;
        let failed =
            |source| StorageError::Io { path: local.root().join(inner), action: "read the file", source };
        let size = file.metadata().map_err(failed)?.len();
        Ok((Content::File(file), size))
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
        ArtifactStore::new(self.uploads.join(id))
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

    /// The store that keeps `name`, and the name in it: in a folder, the artifacts of a run or model begin after the part `artifacts`.
    fn store_of<'name>(&self, name: &'name str) -> Result<(ArtifactStore, &'name str), StorageError> {
        let Some(local) = self.whole.local().filter(|_| !name.is_empty()) else {
            return Ok((self.whole.clone(), name));
        };
        ArtifactName::new(name)?;
        let mut end = 0;
        for part in name.split('/') {
            end += part.len();
            if part == "artifacts" && end > part.len() {
                // A link on the way to the run's folder would lead its store astray.
                let root = local.path_of(&name[..end])?;
                return Ok((ArtifactStore::new(root), name[end..].trim_start_matches('/')));
            }
            end += 1;
        }
        Ok((self.whole.clone(), name))
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
        let place = Place::open(folder.path().to_str().unwrap()).unwrap();
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
        let place = Place::open(folder.path().to_str().unwrap()).unwrap();
        for name in ["0/r/artifacts/key", "0/q/artifacts/deep/artifacts/key"] {
            assert!(place.read(name).is_err(), "{name}");
            assert!(place.write(name, &b"x"[..]).is_err() && place.delete(name).is_err(), "{name}");
        }
        assert!(place.list("0/r/artifacts").is_err());
        assert_eq!(std::fs::read_to_string(secret.path().join("artifacts/key")).unwrap(), "secret");
    }

    #[test]
    fn an_object_store_is_a_place_too() {
        let place = Place { whole: ArtifactStore::memory(), uploads: PathBuf::new(), _temporary: None };
        place.write("0/r/artifacts/a/b.txt", &b"hello"[..]).unwrap();
        assert_eq!(place.list("0/r/artifacts").unwrap()[0].name, "a");
        let (mut content, size) = place.read("0/r/artifacts/a/b.txt").unwrap();
        content.skip(2).unwrap();
        let mut rest = String::new();
        content.read_to_string(&mut rest).unwrap();
        assert_eq!((size, rest.as_str()), (5, "llo"));
        place.delete("0/r/artifacts/a").unwrap();
        assert!(place.read("0/r/artifacts/a/b.txt").is_err());
        assert!(Place::open("mlflow-artifacts:/x").is_err());
    }
}
