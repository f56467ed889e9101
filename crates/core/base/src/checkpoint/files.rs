//! The files of one checkpoint as they lie on the disk: plain, or encrypted and bound to the run and to the checkpoint's name.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use fulmen_contracts::CHECKPOINTS;
use fulmen_encryption::{EncryptionError, ScopedKeyring, is_encrypted};
use fulmen_utils::atomic::WriteError;

use super::manifest::{Digesting, FileDigest};
use crate::{Error, Result};

/// Bytes that are read or written at a time: large, so that a file of small tensors is few calls.
const BUFFER: usize = 1 << 20;

/// The files of one checkpoint.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
    /// What they are encrypted under, and the checkpoint's name.
    keys: Option<(ScopedKeyring, String)>,
}

impl Files {
    /// Those of the checkpoint that is in `folder`.
    pub(super) fn in_place(folder: &Path, keys: Option<&ScopedKeyring>) -> Self {
        // `best` is a link; the name is that of what it points to.
        let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
        let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self::named(folder, &name, keys)
    }

    /// Those of the checkpoint `name`, wherever its folder is.
    pub(super) fn named(folder: &Path, name: &str, keys: Option<&ScopedKeyring>) -> Self {
        Self { folder: folder.to_path_buf(), keys: keys.map(|keys| (keys.clone(), name.to_owned())) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Opens the file `name`; what is read is decrypted, and known to be whole once its end was reached.
    pub(super) fn open(&self, name: &str) -> Result<Box<dyn Read>> {
        let path = self.path(name);
        let refuse = |error| unreadable(&path, error);
        let mut input = BufReader::with_capacity(BUFFER, File::open(&path).map_err(refuse)?);
        if let Some((keys, checkpoint)) = &self.keys {
            let bound = bound(checkpoint, name);
            return Ok(Box::new(keys.decrypt(&bound, &path.display().to_string(), input)?));
        }
        if is_encrypted(io::BufRead::fill_buf(&mut input).map_err(refuse)?) {
            let message = "is encrypted: set encryption.checkpoints, and say in encryption.master_key where the key is; \
                           or fetch it decrypted with `fulmen artifacts get`";
            return Err(Error::checkpoint(path, message));
        }
        Ok(Box::new(input))
    }

    /// All of the file `name`.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        // Of its final length from the start; an encrypted file is a little longer than its content.
        let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        self.open(name)?.read_to_end(&mut bytes).map_err(|error| unreadable(&path, error))?;
        Ok(bytes)
    }

    /// Length and digest of the content of the file `name`.
    pub(super) fn digest(&self, name: &str) -> Result<FileDigest> {
        let mut writer = Digesting::new(io::sink());
        io::copy(&mut self.open(name)?, &mut writer).map_err(|error| unreadable(&self.path(name), error))?;
        Ok(writer.finish())
    }

    /// Writes the new file `name`, flushed to the disk, and digests its content on the way.
    pub(super) fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<FileDigest, WriteError> {
        let path = self.path(name);
        let written = || {
            let file = File::create_new(&path)?;
            let out = BufWriter::with_capacity(BUFFER, &file);
            let digest = match &self.keys {
                None => {
                    let mut out = Digesting::new(out);
                    fill(&mut out)?;
                    out.flush()?;
                    out.finish()
                }
                Some((keys, checkpoint)) => {
                    let out = keys.encrypt(&bound(checkpoint, name), out).map_err(io::Error::other)?;
                    let mut out = Digesting::new(out);
                    fill(&mut out)?;
                    let (out, digest) = out.into_parts();
                    out.finish()?.flush()?;
                    digest
                }
            };
            file.sync_all()?;
            Ok(digest)
        };
        written().map_err(|error| WriteError::new(&path, error))
    }
}

/// What an encrypted file is bound to within its run: its name among the run's artifacts, by which `fulmen artifacts` opens it too.
fn bound(checkpoint: &str, file: &str) -> String {
    format!("{CHECKPOINTS}/{checkpoint}/{file}")
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    match error.downcast::<EncryptionError>() {
        Ok(error) => error.into(),
        Err(error) => Error::checkpoint(path, format!("cannot be read: {error}")),
    }
}
