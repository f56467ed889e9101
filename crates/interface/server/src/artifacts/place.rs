//! The place where artifacts lie: the one seam between the server and `fulmen-storage`.

use std::{
    fs::File,
    io::{Read, Seek},
    path::{Path, PathBuf},
    time::Duration,
};

use fulmen_storage::{ArtifactName, ArtifactStore, StorageError};

use crate::locations::local_folder;

/// Holds the parts of uploads; the prefix makes every store leave the folder out of listings and refuse its name.
const UPLOADS: &str = ".fulmen-unfinished-uploads";
/// A multipart upload that nobody has completed for so long is given up.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Why a place cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// No store has this scheme.
    #[error("artifact root {uri:?}: this server keeps artifacts in a folder of its machine; give a path")]
    Scheme {
        /// The path or URI.
        uri: String,
    },
}

/// What can be read and sought in.
pub(super) trait Content: Read + Seek + Send {}

impl<T: Read + Seek + Send> Content for T {}

/// A file or folder in the place.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name in its folder.
    pub(super) name: String,
    /// Size in bytes; `None` for a folder.
    pub(super) size: Option<u64>,
}

/// A folder of artifacts, those of each run and model in a store of its own, as `fulmen train` writes them.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
}

impl Place {
    /// The place at a path or `file:` URI.
    pub(crate) fn open(uri: &str) -> Result<Self, PlaceError> {
        let path = local_folder(uri).ok_or_else(|| PlaceError::Scheme { uri: uri.to_owned() })?;
        Ok(Self { root: std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()) })
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
    pub(super) fn read(&self, name: &str) -> Result<(Box<dyn Content>, u64), StorageError> {
        let (store, inner) = self.store_of(name)?;
        let file: File = store.open(inner)?;
        let failed =
            |source| StorageError::Io { path: self.root.join(name), action: "read the file", source };
        let size = file.metadata().map_err(failed)?.len();
        Ok((Box::new(file), size))
    }

    /// Writes all that `content` yields under `name`: whole, or not at all.
    pub(super) fn write(&self, name: &str, content: impl Read) -> Result<(), StorageError> {
        let (store, inner) = self.store_of(name)?;
        store.put_reader(inner, content).map(drop)
    }

    /// Removes the file or the whole folder `name`.
    pub(super) fn delete(&self, name: &str) -> Result<(), StorageError> {
        match self.store_of(name)? {
            (store, "") if store.root().exists() => store.delete_all(),
            (store, "") => Err(StorageError::Missing { path: store.root().to_path_buf() }),
            (store, inner) => store.delete(inner),
        }
    }

    /// Holds the parts of the upload `id`.
    pub(super) fn parts(&self, id: &str) -> ArtifactStore {
        ArtifactStore::new(self.root.join(UPLOADS).join(id))
    }

    /// Removes the parts of uploads that nobody has completed for days.
    pub(super) fn give_up_abandoned(&self) {
        let Ok(uploads) = std::fs::read_dir(self.root.join(UPLOADS)) else { return };
        for upload in uploads.flatten().filter(|upload| upload.path().is_dir()) {
            let modified = upload.metadata().and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > ABANDONED)) {
                // What cannot be removed now is tried again at the next upload.
                let _ = ArtifactStore::new(upload.path()).delete_all();
            }
        }
    }

    /// The store that keeps `name`, and the name in it: the artifacts of a run or model begin after the part `artifacts`.
    fn store_of<'name>(&self, name: &'name str) -> Result<(ArtifactStore, &'name str), StorageError> {
        let whole = ArtifactStore::new(&self.root);
        if name.is_empty() {
            return Ok((whole, name));
        }
        ArtifactName::new(name)?;
        let mut end = 0;
        for part in name.split('/') {
            end += part.len();
            if part == "artifacts" && end > part.len() {
                // A link on the way to the run's folder would lead its store astray.
                let root = whole.path_of(&name[..end])?;
                return Ok((ArtifactStore::new(root), name[end..].trim_start_matches('/')));
            }
            end += 1;
        }
        Ok((whole, name))
    }
}

fn last(name: &ArtifactName) -> String {
    let name = name.as_str();
    Path::new(name).file_name().map_or_else(|| name.to_owned(), |part| part.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
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
    fn a_place_elsewhere_is_refused() {
        assert!(Place::open("s3://bucket/x").is_err() && Place::open("mlflow-artifacts:/x").is_err());
    }
}
