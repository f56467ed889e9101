//! The artifact store over a local folder.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{
    ArtifactName, StorageError,
    manifest::{self, LockedManifest},
    name::UNFINISHED_PREFIX,
};

/// Bytes per read while a file is copied and digested.
const COPY_BUFFER: usize = 1 << 20;

/// A file of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name, relative to the store's folder.
    pub name: ArtifactName,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 digest recorded when the file was written, in hexadecimal; `None` for a file that something else put there.
    pub digest: Option<String>,
}

/// A folder of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFolder {
    /// Its name, relative to the store's folder.
    pub name: ArtifactName,
}

/// One level of a store, each list sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The folders.
    pub folders: Vec<ArtifactFolder>,
    /// The files.
    pub files: Vec<Artifact>,
}

/// The artifact folder of a run: `<root>/<experiment_id>/<run_id>/artifacts`, as MLflow lays it out.
///
/// # Errors
/// [`StorageError::Name`] where an id is not one plain folder name.
pub fn run_artifact_folder(root: &Path, experiment_id: &str, run_id: &str) -> Result<PathBuf, StorageError> {
    for id in [experiment_id, run_id] {
        ArtifactName::new(id)?;
        if id.contains('/') {
            return Err(StorageError::Name { name: id.to_owned(), reason: "an id is one folder name" });
        }
    }
    Ok(root.join(experiment_id).join(run_id).join("artifacts"))
}

/// Files under one folder, usually the artifacts of one run. Cheap to make; the folder is created by the first write.
///
/// Symbolic links that lead out of the folder are refused. The check looks at the folder as it is at that moment: it
/// guards against bad names, not against another program of the same user that swaps folders meanwhile.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    root: PathBuf,
}

impl ArtifactStore {
    /// A store over the folder `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes `bytes` under `name`, in place of what was there: complete on the disk, or not at all.
    ///
    /// # Errors
    /// A bad name, a link out of the folder, a full disk, a folder that cannot be written to.
    pub fn put_bytes(&self, name: &str, bytes: &[u8]) -> Result<Artifact, StorageError> {
        self.put_reader(name, bytes)
    }

    /// Copies the file `source` under `name`, in place of what was there: complete on the disk, or not at all.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes), and where `source` cannot be read.
    pub fn put_file(&self, name: &str, source: &Path) -> Result<Artifact, StorageError> {
        let file =
            File::open(source).map_err(|error| StorageError::on_read(source, "open the file", error))?;
        let is_folder = file.metadata().map(|metadata| metadata.is_dir());
        if is_folder.map_err(|error| StorageError::on_read(source, "read the file", error))? {
            return Err(StorageError::Type {
                path: source.to_path_buf(),
                found: "a folder",
                expected: "a file",
            });
        }
        self.put_reader(name, file)
    }

    /// Writes all that `content` yields under `name`, in place of what was there: complete on the disk, or not at all.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes), and where `content` fails.
    pub fn put_reader(&self, name: &str, mut content: impl Read) -> Result<Artifact, StorageError> {
        let name = ArtifactName::new(name)?;
        let path = self.root.join(name.as_str());
        let folder = path.parent().unwrap_or(&self.root).to_path_buf();
        // Before anything is created: a link may lead out of the root at any level.
        self.refuse_escape(&path)?;
        create_folders(&folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                StorageError::Type { path: folder.clone(), found: "a file", expected: "a folder" }
            }
            _ => StorageError::on_write(&folder, "create the folder", error),
        })?;
        if path.is_dir() {
            return Err(StorageError::Type { path, found: "a folder", expected: "a file" });
        }

        let mut unfinished = unfinished_file(&folder)?;
        let written = copy_and_digest(&mut content, unfinished.as_file_mut(), &path)?;
        let synced = unfinished.as_file().sync_all();
        synced.map_err(|error| StorageError::on_write(&path, "write the file", error))?;

        let mut manifest = LockedManifest::lock(&self.root)?;
        // The digest first: where it cannot be written the old file stays, and the put has not happened.
        let earlier = manifest.record(&name, &written.digest)?;
        if let Err(error) = unfinished.persist(&path) {
            manifest.restore(&name, earlier)?;
            return Err(StorageError::on_write(&path, "rename the finished file", error.error));
        }
        sync_folder(&folder)?;
        Ok(Artifact { name, size: written.size, digest: Some(written.digest) })
    }

    /// Opens the file `name` for reading.
    ///
    /// # Errors
    /// A bad name, a link out of the folder, an absent file, a folder in its place.
    pub fn open(&self, name: &str) -> Result<File, StorageError> {
        let path = self.path_of(name)?;
        if path.is_dir() {
            return Err(StorageError::Type { path, found: "a folder", expected: "a file" });
        }
        File::open(&path).map_err(|error| StorageError::on_read(&path, "open the file", error))
    }

    /// Path of the artifact `name`, whether or not it exists; it is certain to lie inside the folder.
    ///
    /// # Errors
    /// A bad name, a link out of the folder.
    pub fn path_of(&self, name: &str) -> Result<PathBuf, StorageError> {
        let path = self.root.join(ArtifactName::new(name)?.as_str());
        self.refuse_escape(&path)?;
        Ok(path)
    }

    /// What lies directly in `folder` (`""` for the top). Links and unfinished files are left out. An absent store is empty.
    ///
    /// # Errors
    /// A bad name, an absent folder below the top, a file in its place, an unreadable folder.
    pub fn list(&self, folder: &str) -> Result<Listing, StorageError> {
        let digests = manifest::read(&self.root)?;
        self.list_with(folder, &digests)
    }

    /// All files of the store at any depth, sorted by name.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn files(&self) -> Result<Vec<Artifact>, StorageError> {
        let digests = manifest::read(&self.root)?;
        let mut files = Vec::new();
        let mut pending = vec![String::new()];
        while let Some(folder) = pending.pop() {
            let listing = self.list_with(&folder, &digests)?;
            files.extend(listing.files);
            pending.extend(listing.folders.into_iter().map(|folder| folder.name.to_string()));
        }
        files.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(files)
    }

    fn list_with(
        &self,
        folder: &str,
        digests: &std::collections::BTreeMap<String, String>,
    ) -> Result<Listing, StorageError> {
        let path = if folder.is_empty() { self.root.clone() } else { self.path_of(folder)? };
        let mut listing = Listing::default();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if folder.is_empty() && error.kind() == io::ErrorKind::NotFound => return Ok(listing),
            Err(_) if path.is_file() => {
                return Err(StorageError::Type { path, found: "a file", expected: "a folder" });
            }
            Err(error) => return Err(StorageError::on_read(&path, "list the folder", error)),
        };
        for entry in entries {
            let failed = |error| StorageError::on_read(&path, "list the folder", error);
            let entry = entry.map_err(failed)?;
            let file_name = entry.file_name();
            let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            // A name that this store would not accept cannot be asked for later either.
            let name = file_name.to_str().and_then(|part| ArtifactName::new(&format!("{prefix}{part}")).ok());
            let Some(name) = name else { continue };
            let file_type = entry.file_type().map_err(failed)?;
            if file_type.is_dir() {
                listing.folders.push(ArtifactFolder { name });
            } else if file_type.is_file() {
                // The file may have been removed since the folder was read.
                let Ok(metadata) = entry.metadata() else { continue };
                let digest = digests.get(name.as_str()).cloned();
                listing.files.push(Artifact { name, size: metadata.len(), digest });
            }
        }
        listing.folders.sort_by(|left, right| left.name.cmp(&right.name));
        listing.files.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(listing)
    }

    /// Reads the file `name` and compares its digest with the recorded one, which it returns; `None` where none was recorded.
    ///
    /// # Errors
    /// [`StorageError::Digest`] where they differ; else as [`open`](Self::open).
    pub fn verify(&self, name: &str) -> Result<Option<String>, StorageError> {
        let path = self.path_of(name)?;
        let Some(expected) = manifest::read(&self.root)?.remove(name) else {
            return self.open(name).map(|_| None);
        };
        let mut hasher = blake3::Hasher::new();
        let mut file = BufReader::with_capacity(COPY_BUFFER, self.open(name)?);
        io::copy(&mut file, &mut hasher)
            .map_err(|error| StorageError::on_read(&path, "read the file", error))?;
        let found = hasher.finalize().to_hex().to_string();
        if found == expected { Ok(Some(found)) } else { Err(StorageError::Digest { path, expected, found }) }
    }

    /// Removes the file or the whole folder `name`.
    ///
    /// # Errors
    /// A bad name, a link out of the folder, nothing there, a folder that cannot be written to.
    pub fn delete(&self, name: &str) -> Result<(), StorageError> {
        let path = self.path_of(name)?;
        let metadata = fs::symlink_metadata(&path)
            .map_err(|error| StorageError::on_read(&path, "look at the file", error))?;
        let mut manifest = LockedManifest::lock(&self.root)?;
        let removed = if metadata.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| StorageError::on_write(&path, "remove the file", error))?;
        let below = format!("{name}/");
        manifest.retain(|file| file != name && !file.starts_with(&below))
    }

    /// Removes the folder, all files in it and their manifest. An absent folder is fine.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn delete_all(&self) -> Result<(), StorageError> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::on_write(&self.root, "remove the folder", error));
            }
            _ => {}
        }
        manifest::remove(&self.root)
    }

    /// Removes what killed writers left unfinished more than `age` ago, and returns the number of files removed.
    ///
    /// # Errors
    /// A folder that cannot be listed or written to.
    pub fn remove_unfinished(&self, age: Duration) -> Result<usize, StorageError> {
        let mut removed = 0;
        let mut pending = vec![self.root.clone()];
        while let Some(folder) = pending.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StorageError::on_read(&folder, "list the folder", error)),
            };
            for entry in entries.flatten() {
                let path = entry.path();
                let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
                let is_unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX);
                let modified = metadata.modified().unwrap_or_else(|_| SystemTime::now());
                if metadata.is_dir() {
                    pending.push(path);
                } else if is_unfinished && modified.elapsed().unwrap_or_default() >= age {
                    fs::remove_file(&path).map_err(|error| {
                        StorageError::on_write(&path, "remove the unfinished file", error)
                    })?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Follows the links in the part of `path` that exists and checks that it ends inside the root.
    fn refuse_escape(&self, path: &Path) -> Result<(), StorageError> {
        let Ok(root) = self.root.canonicalize() else { return Ok(()) };
        for ancestor in path.ancestors().take_while(|ancestor| ancestor.starts_with(&self.root)) {
            match ancestor.canonicalize() {
                Ok(real) if real.starts_with(&root) => return Ok(()),
                Ok(_) => break,
                // A dangling link cannot be followed, but a write would follow it.
                Err(_) if ancestor.is_symlink() => break,
                Err(_) => {}
            }
        }
        Err(StorageError::Escape { path: path.to_path_buf(), root: self.root.clone() })
    }
}

/// Creates a folder and those above it, durably: each new folder's entry reaches the disk too.
fn create_folders(folder: &Path) -> io::Result<()> {
    let absent: Vec<&Path> = folder.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    fs::create_dir_all(folder)?;
    #[cfg(unix)]
    for parent in absent.into_iter().filter_map(Path::parent).filter(|parent| !parent.as_os_str().is_empty())
    {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// A new file beside the final one, with the permissions an ordinary file gets; removed unless renamed.
fn unfinished_file(folder: &Path) -> Result<tempfile::NamedTempFile, StorageError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED_PREFIX);
    #[cfg(unix)]
    builder.permissions(<std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
    builder
        .tempfile_in(folder)
        .map_err(|error| StorageError::on_write(folder, "create a file in the folder", error))
}

struct Written {
    size: u64,
    digest: String,
}

fn copy_and_digest(content: &mut impl Read, file: &mut File, path: &Path) -> Result<Written, StorageError> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_BUFFER];
    let mut size = 0;
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(StorageError::on_read(path, "read the content", error)),
        };
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count])
            .map_err(|error| StorageError::on_write(path, "write the file", error))?;
        size += count as u64;
    }
    Ok(Written { size, digest: hasher.finalize().to_hex().to_string() })
}

/// Makes a rename durable: the folder's own entry has to reach the disk as well.
fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    #[cfg(unix)]
    File::open(folder)
        .and_then(|handle| handle.sync_all())
        .map_err(|error| StorageError::on_write(folder, "write the folder to disk", error))?;
    Ok(())
}
