//! The digests of a folder's artifacts: one line `<BLAKE3, hexadecimal>  <name>` per file, as `b3sum` writes them.
//!
//! The manifest lies beside the artifact folder (`artifacts.b3` beside `artifacts`), so that listings show only what
//! the run wrote. Every change of a file's bytes and of its line happens under one advisory lock on the manifest, so
//! that several processes of a run cannot leave a line that belongs to another's bytes.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use crate::{ArtifactName, StorageError};

/// The manifest, locked for the life of this value.
#[derive(Debug)]
pub(crate) struct LockedManifest {
    path: PathBuf,
    file: File,
}

/// Path of the manifest of the artifact folder `root`.
pub(crate) fn manifest_path(root: &Path) -> PathBuf {
    let mut name = root.file_name().unwrap_or_default().to_owned();
    name.push(".b3");
    root.with_file_name(name)
}

/// Reads the digests of `root`'s artifacts; an absent manifest is an empty one.
pub(crate) fn read(root: &Path) -> Result<BTreeMap<String, String>, StorageError> {
    let path = manifest_path(root);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(StorageError::on_read(&path, "read the manifest", error)),
    };
    file.lock_shared().map_err(|error| StorageError::on_read(&path, "lock the manifest", error))?;
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|error| StorageError::on_read(&path, "read the manifest", error))?;
    parse(&path, &text)
}

impl LockedManifest {
    /// Opens (and creates) the manifest of `root` and waits for its lock.
    pub(crate) fn lock(root: &Path) -> Result<Self, StorageError> {
        let path = manifest_path(root);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| StorageError::on_write(&path, "open the manifest", error))?;
        file.lock().map_err(|error| StorageError::on_write(&path, "lock the manifest", error))?;
        Ok(Self { path, file })
    }

    /// Sets the digest of `name` and returns the earlier one.
    pub(crate) fn record(
        &mut self,
        name: &ArtifactName,
        digest: &str,
    ) -> Result<Option<String>, StorageError> {
        let mut digests = self.digests()?;
        let earlier = digests.insert(name.to_string(), digest.to_owned());
        match earlier {
            // Most files are written once: their lines are appended.
            None => self.append(&format!("{digest}  {name}\n"))?,
            Some(_) => self.rewrite(&digests)?,
        }
        Ok(earlier)
    }

    /// Takes a [`record`](Self::record) back.
    pub(crate) fn restore(
        &mut self,
        name: &ArtifactName,
        earlier: Option<String>,
    ) -> Result<(), StorageError> {
        let mut digests = self.digests()?;
        match earlier {
            Some(digest) => digests.insert(name.to_string(), digest),
            None => digests.remove(name.as_str()),
        };
        self.rewrite(&digests)
    }

    /// Keeps the lines of those files for which `keep` holds.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) -> Result<(), StorageError> {
        let mut digests = self.digests()?;
        digests.retain(|name, _| keep(name));
        self.rewrite(&digests)
    }

    fn digests(&mut self) -> Result<BTreeMap<String, String>, StorageError> {
        let mut text = String::new();
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_string(&mut text));
        read.map_err(|error| StorageError::on_read(&self.path, "read the manifest", error))?;
        parse(&self.path, &text)
    }

    fn append(&mut self, line: &str) -> Result<(), StorageError> {
        let failed = |error| StorageError::on_write(&self.path, "extend the manifest", error);
        let end = self.file.seek(SeekFrom::End(0)).map_err(failed)?;
        self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data()).map_err(|error| {
            // A torn line would spoil the file for every later reader.
            let _ = self.file.set_len(end);
            failed(error)
        })
    }

    /// Writes all lines anew. The file keeps its inode: the lock is on it.
    fn rewrite(&mut self, digests: &BTreeMap<String, String>) -> Result<(), StorageError> {
        let text: String = digests.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(text.as_bytes()))
            .and_then(|()| self.file.set_len(text.len() as u64))
            .and_then(|()| self.file.sync_data())
            .map_err(|error| StorageError::on_write(&self.path, "rewrite the manifest", error))
    }
}

/// Removes the manifest of `root`.
pub(crate) fn remove(root: &Path) -> Result<(), StorageError> {
    let path = manifest_path(root);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::on_write(&path, "remove the manifest", error))
        }
        _ => Ok(()),
    }
}

fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, String>, StorageError> {
    let mut digests = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let fields = line.split_once("  ").filter(|(digest, name)| {
            digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) && !name.is_empty()
        });
        let Some((digest, name)) = fields else {
            return Err(StorageError::Manifest { path: path.to_path_buf(), line: index + 1 });
        };
        digests.insert(name.to_owned(), digest.to_owned());
    }
    Ok(digests)
}
