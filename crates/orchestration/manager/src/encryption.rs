//! The artifacts of a run that is encrypted.
//!
//! Checkpoints the worker encrypts as it writes them. Everything else is written to, and read, while the run goes on, also by plugins
//! that know of no encryption: it is encrypted when the run has ended, however it ended, and decrypted for a run that goes on.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use fulmen_contracts::settings::Encrypted;
use fulmen_contracts::{CHECKPOINTS, RunKeys, Secret};
use fulmen_encryption::{Keyring, ScopedKeyring, is_encrypted};
use fulmen_storage::ArtifactStore;
use fulmen_tracking::{Run, Tag};

use crate::{ManagerError, RunFolder, resume};

/// The tag that says what of a run's artifacts is encrypted.
const TAG: &str = "fulmen.encryption";
/// As many bytes as it takes to know an encrypted file.
const HEAD: u64 = 64;

/// What of a run's artifacts is encrypted, as the run was begun.
#[must_use]
pub fn encrypted_of(run: &Run) -> Option<Encrypted> {
    let tag = run.data.tags.iter().find(|tag| tag.key == TAG)?;
    Encrypted::of_name(&tag.value)
}

/// How a run is encrypted.
#[derive(Debug, Clone)]
pub struct RunEncryption {
    /// The data keys.
    pub keyring: Arc<Keyring>,
    /// What of its artifacts is; none where only the cache of prepared data is.
    pub encrypted: Option<Encrypted>,
}

impl RunEncryption {
    /// What the worker is given, for the files of the run `run_id`.
    #[must_use]
    pub fn for_worker(&self, run_id: &str) -> RunKeys {
        RunKeys { data_keys: Secret::new(self.keyring.expose().as_str()), run_id: run_id.to_owned() }
    }

    /// The artifacts of the run `run_id`, decrypted where they are encrypted.
    #[must_use]
    pub fn artifacts(&self, store: ArtifactStore, run_id: &str) -> ArtifactStore {
        let keys = ScopedKeyring::new(self.keyring.clone(), run_id);
        match self.encrypted {
            Some(Encrypted::Artifacts) => store.encrypted(keys),
            Some(Encrypted::Checkpoints) => store.encrypted_in(CHECKPOINTS, keys),
            None => store,
        }
    }

    pub(crate) fn tag(&self) -> Option<Tag> {
        self.encrypted.map(|encrypted| Tag::new(TAG, encrypted.name()))
    }
}

/// The artifacts of a run as its worker has to find them, until this is dropped: from then on they are encrypted.
#[derive(Debug)]
pub(crate) struct InClear {
    folder: RunFolder,
    run_id: String,
    /// None: there is nothing to do.
    encryption: Option<RunEncryption>,
}

impl InClear {
    /// Decrypts what the run has left at its last end.
    pub(crate) fn open(
        folder: &RunFolder,
        run_id: &str,
        encryption: Option<&RunEncryption>,
    ) -> Result<Self, ManagerError> {
        let encryption = encryption.filter(|encryption| encryption.encrypted == Some(Encrypted::Artifacts));
        let opened =
            Self { folder: folder.clone(), run_id: run_id.to_owned(), encryption: encryption.cloned() };
        if let Some(encryption) = encryption {
            let plain = ArtifactStore::new(folder.artifacts());
            let encrypted = encryption.artifacts(plain.clone(), run_id);
            for name in beside_checkpoints(&plain, true)? {
                plain.put_reader(&name, encrypted.reader(&name)?)?;
            }
        }
        Ok(opened)
    }

    /// Encrypts what the worker has left; it has ended.
    ///
    /// # Errors
    /// When a file cannot be read or written. `fulmen sync` tries again.
    pub(crate) fn close(mut self) -> Result<(), ManagerError> {
        match self.encryption.take() {
            Some(encryption) => seal(&self.folder, &self.run_id, &encryption).map(drop),
            None => Ok(()),
        }
    }
}

impl Drop for InClear {
    fn drop(&mut self) {
        if let Some(encryption) = self.encryption.take() {
            // Whoever wants to know of an error calls `close`; this is for a run that failed already.
            let _ = seal(&self.folder, &self.run_id, &encryption);
        }
    }
}

/// Encrypts the artifacts that lie in clear in the folder of a run that has ended, and tells how many there were.
pub(crate) fn seal(
    folder: &RunFolder,
    run_id: &str,
    encryption: &RunEncryption,
) -> Result<usize, ManagerError> {
    let plain = ArtifactStore::new(folder.artifacts());
    let encrypted = encryption.artifacts(plain.clone(), run_id);
    let names = beside_checkpoints(&plain, false)?;
    for name in &names {
        // Beside it, and then in its place, in one step.
        encrypted.put_reader(name, plain.reader(name)?)?;
    }
    Ok(names.len())
}

/// Whether a run that is to be encrypted has files in clear, since the process that would have encrypted them was killed.
///
/// # Errors
/// When its folder cannot be read, or its worker is still at work there.
pub fn is_left_in_clear(folder: &RunFolder, run: &Run) -> Result<bool, ManagerError> {
    if encrypted_of(run) != Some(Encrypted::Artifacts)
        || beside_checkpoints(&ArtifactStore::new(folder.artifacts()), false)?.is_empty()
    {
        return Ok(false);
    }
    if resume::is_worker_there(folder)? {
        return Err(ManagerError::Encrypted("the run has not ended yet".to_owned()));
    }
    Ok(true)
}

/// Encrypts what [`is_left_in_clear`] found, and tells how many files there were.
///
/// # Errors
/// When a file cannot be read or written.
pub fn encrypt_left_behind(
    folder: &RunFolder,
    run: &Run,
    encryption: &RunEncryption,
) -> Result<usize, ManagerError> {
    seal(folder, &run.info.run_id, encryption)
}

/// Names of the files beside checkpoints that are encrypted, or that are not.
fn beside_checkpoints(plain: &ArtifactStore, encrypted: bool) -> Result<Vec<String>, ManagerError> {
    let mut names = Vec::new();
    for file in plain.files()? {
        let name = file.name.as_str();
        if Encrypted::Checkpoints.covers(name) {
            continue;
        }
        let path = plain.local().map(|local| local.root().join(name)).unwrap_or_default();
        let found = is_file_encrypted(&path).map_err(|source| ManagerError::Read { path, source })?;
        if found == encrypted {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Whether a file begins as an encrypted one.
pub(crate) fn is_file_encrypted(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(is_encrypted(&head))
}
