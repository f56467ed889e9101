//! Artifacts in a folder of this machine.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{
    Artifact, ArtifactFolder, ArtifactName, Listing, StorageError,
    manifest::{self, LockedManifest},
    name::UNFINISHED_PREFIX,
};

/// Files under one folder, usually the artifacts of one run. Cheap to make; the folder is created by the first write.
///
/// Symbolic links that lead out of the folder are refused. The check looks at the folder as it is at that moment: it
/// guards against bad names, not against another program of the same user that swaps folders meanwhile.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: PathBuf,
}

impl LocalStore {
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

    /// Begins to write `name`, in place of what is there. The file appears when the writer is finished; one that is dropped
    /// leaves nothing.
    pub(crate) fn create(&self, name: &str) -> Result<LocalWriter, StorageError> {
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
        let unfinished = unfinished_file(&folder)?;
        let root = self.root.clone();
        Ok(LocalWriter { root, name, path, unfinished, hasher: blake3::Hasher::new(), size: 0 })
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

    /// The first bytes of the file `name`, `count` at most, and its size in bytes.
    pub(crate) fn begin(&self, name: &str, count: u64) -> Result<(Vec<u8>, u64), StorageError> {
        let file = self.open(name)?;
        let failed = |error| StorageError::on_read(&self.root.join(name), "read the file", error);
        let size = file.metadata().map_err(failed)?.len();
        let mut begin = Vec::new();
        file.take(count).read_to_end(&mut begin).map_err(failed)?;
        Ok((begin, size))
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

    /// The name of what `name` leads to: itself, or, where it is a link such as `checkpoints/best`, what that points to.
    ///
    /// # Errors
    /// A bad name, a link out of the folder.
    pub fn resolve(&self, name: &str) -> Result<String, StorageError> {
        let path = self.path_of(name)?;
        let real = path.canonicalize().ok().zip(self.root.canonicalize().ok());
        let inner = real.and_then(|(path, root)| Some(path.strip_prefix(root).ok()?.to_str()?.to_owned()));
        Ok(inner.unwrap_or_else(|| name.to_owned()))
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

    /// The file `name`: its size and the digest that was recorded.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn info(&self, name: &str) -> Result<Artifact, StorageError> {
        let file = self.open(name)?;
        let path = self.root.join(name);
        let metadata =
            file.metadata().map_err(|error| StorageError::on_read(&path, "look at the file", error))?;
        let digest = manifest::read(&self.root)?.remove(name);
        Ok(Artifact { name: ArtifactName::new(name)?, size: metadata.len(), digest })
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

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct LocalWriter {
    root: PathBuf,
    name: ArtifactName,
    path: PathBuf,
    unfinished: tempfile::NamedTempFile,
    hasher: blake3::Hasher,
    size: u64,
}

impl LocalWriter {
    /// Where the file will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Brings the file to the disk, records its digest and gives it its name.
    pub(crate) fn finish(self) -> Result<Artifact, StorageError> {
        let Self { root, name, path, unfinished, hasher, size } = self;
        let synced = unfinished.as_file().sync_all();
        synced.map_err(|error| StorageError::on_write(&path, "write the file", error))?;
        let digest = hasher.finalize().to_hex().to_string();

        let mut manifest = LockedManifest::lock(&root)?;
        // The digest first: where it cannot be written the old file stays, and the put has not happened.
        let earlier = manifest.record(&name, &digest)?;
        if let Err(error) = unfinished.persist(&path) {
            manifest.restore(&name, earlier)?;
            return Err(StorageError::on_write(&path, "rename the finished file", error.error));
        }
        sync_folder(path.parent().unwrap_or(&root))?;
        Ok(Artifact { name, size, digest: Some(digest) })
    }
}

impl Write for LocalWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.unfinished.as_file_mut().write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Creates a folder and those above it, durably: each new folder's entry reaches the disk too.
pub(crate) fn create_folders(folder: &Path) -> io::Result<()> {
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
pub(crate) fn unfinished_file(folder: &Path) -> Result<tempfile::NamedTempFile, StorageError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED_PREFIX);
    #[cfg(unix)]
    builder.permissions(<std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
    builder
        .tempfile_in(folder)
        .map_err(|error| StorageError::on_write(folder, "create a file in the folder", error))
}

/// Makes a rename durable: the folder's own entry has to reach the disk as well.
fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    #[cfg(unix)]
    File::open(folder)
        .and_then(|handle| handle.sync_all())
        .map_err(|error| StorageError::on_write(folder, "write the folder to disk", error))?;
    Ok(())
}
