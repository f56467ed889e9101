//! Artifacts that a server hands through, such as a tracking server. Digests it does not tell.

use std::{
    fmt,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use tempfile::NamedTempFile;

use crate::{Artifact, ArtifactName, Listing, StorageError};

/// What a store needs of a server that hands artifacts through. Names are relative to the place that it stands for.
pub trait ArtifactProxy: fmt::Debug + Send + Sync {
    /// URI of the place.
    fn uri(&self) -> &str;

    /// What lies directly in `folder` (`""` for the top), sorted by name; nothing where there is no such folder.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    fn list(&self, folder: &str) -> Result<Listing, StorageError>;

    /// Opens the file `name`. Its reader fails where the transfer ends early.
    ///
    /// # Errors
    /// When there is none, or the server does not answer, or refuses.
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, StorageError>;

    /// Sends the file `from` as `name`, in place of what is there.
    ///
    /// # Errors
    /// When `from` cannot be read, or the server does not answer, or refuses.
    fn put(&self, name: &str, from: &Path) -> Result<(), StorageError>;

    /// Removes the file or the folder `name`.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    fn delete(&self, name: &str) -> Result<(), StorageError>;
}

/// Files that a server hands through.
#[derive(Debug, Clone)]
pub(crate) struct ProxiedStore(pub(crate) Arc<dyn ArtifactProxy>);

/// A file that is being read through the server.
pub(crate) struct ProxiedReader(Box<dyn Read + Send>);

/// A file that waits on this machine until all of it can be sent.
#[derive(Debug)]
pub(crate) struct ProxiedWriter {
    store: ProxiedStore,
    name: ArtifactName,
    waiting: NamedTempFile,
    size: u64,
}

impl ProxiedStore {
    pub(crate) fn uri_of(&self, name: &str) -> String {
        let uri = self.0.uri().trim_end_matches('/');
        if name.is_empty() { uri.to_owned() } else { format!("{uri}/{name}") }
    }

    pub(crate) fn create(&self, name: &str) -> Result<ProxiedWriter, StorageError> {
        let name = ArtifactName::new(name)?;
        let waiting = NamedTempFile::new().map_err(|source| StorageError::Io {
            path: std::env::temp_dir(),
            action: "create a file",
            source,
        })?;
        Ok(ProxiedWriter { store: self.clone(), name, waiting, size: 0 })
    }

    pub(crate) fn put_file(&self, name: &str, from: &Path) -> Result<Artifact, StorageError> {
        let name = ArtifactName::new(name)?;
        let metadata = std::fs::metadata(from);
        let size = metadata.map_err(|error| StorageError::on_read(from, "read the file", error))?.len();
        self.0.put(name.as_str(), from)?;
        Ok(Artifact { name, size, digest: None })
    }

    pub(crate) fn open(&self, name: &str) -> Result<ProxiedReader, StorageError> {
        ArtifactName::new(name)?;
        Ok(ProxiedReader(self.0.open(name)?))
    }

    /// The first bytes of the file `name`, `count` at most, and its size in bytes.
    pub(crate) fn begin(&self, name: &str, count: u64) -> Result<(Vec<u8>, u64), StorageError> {
        let size = self.info(name)?.size;
        let mut begin = Vec::new();
        let read = self.open(name)?.take(count).read_to_end(&mut begin);
        read.map_err(|error| StorageError::on_read(self.uri_of(name).as_ref(), "read the file", error))?;
        Ok((begin, size))
    }

    pub(crate) fn info(&self, name: &str) -> Result<Artifact, StorageError> {
        ArtifactName::new(name)?;
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let Listing { folders, files } = self.0.list(folder)?;
        let path = self.uri_of(name).into();
        if folders.iter().any(|folder| folder.name.as_str() == name) {
            return Err(StorageError::Type { path, found: "a folder", expected: "a file" });
        }
        let found = files.into_iter().find(|file| file.name.as_str() == name);
        found.ok_or(StorageError::Missing { path })
    }

    pub(crate) fn list(&self, folder: &str) -> Result<Listing, StorageError> {
        if !folder.is_empty() {
            ArtifactName::new(folder)?;
        }
        let listing = self.0.list(folder)?;
        if !folder.is_empty() && listing == Listing::default() {
            // Either a file, or nothing at all, which is reported as such.
            self.info(folder)?;
            let path = self.uri_of(folder).into();
            return Err(StorageError::Type { path, found: "a file", expected: "a folder" });
        }
        Ok(listing)
    }

    pub(crate) fn files(&self) -> Result<Vec<Artifact>, StorageError> {
        let (mut files, mut pending) = (Vec::new(), vec![String::new()]);
        while let Some(folder) = pending.pop() {
            let listing = self.0.list(&folder)?;
            files.extend(listing.files);
            pending.extend(listing.folders.into_iter().map(|folder| folder.name.to_string()));
        }
        files.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(files)
    }

    pub(crate) fn delete(&self, name: &str) -> Result<(), StorageError> {
        ArtifactName::new(name)?;
        self.0.delete(name)
    }

    pub(crate) fn delete_all(&self) -> Result<(), StorageError> {
        let Listing { folders, files } = self.0.list("")?;
        let names = folders.iter().map(|folder| &folder.name).chain(files.iter().map(|file| &file.name));
        names.into_iter().try_for_each(|name| self.0.delete(name.as_str()))
    }
}

impl ProxiedWriter {
    pub(crate) fn uri(&self) -> String {
        self.store.uri_of(self.name.as_str())
    }

    /// Sends the file.
    pub(crate) fn finish(self) -> Result<Artifact, StorageError> {
        self.store.0.put(self.name.as_str(), self.waiting.path())?;
        Ok(Artifact { name: self.name, size: self.size, digest: None })
    }
}

impl Write for ProxiedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.waiting.write(bytes)?;
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.waiting.flush()
    }
}

impl Read for ProxiedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl fmt::Debug for ProxiedReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProxiedReader")
    }
}
