//! Where keyrings lie: a file, or an object.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use fulmen_encryption::{EncryptionError, Keyring, MasterKey};
use fulmen_utils::atomic;

use crate::{
    StorageError,
    location::Location,
    remote::{RemoteStore, environment},
};

/// Where a keyring is: a path or URI such as `runs/keyring.age` or `s3://bucket/keyring.age`.
#[derive(Debug, Clone)]
pub struct KeyringPlace {
    uri: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    /// The store around it, and its name.
    Object(RemoteStore, String),
}

impl KeyringPlace {
    /// Reads a path or URI. Credentials of object stores come from the environment.
    ///
    /// # Errors
    /// [`StorageError::Uri`] where it names no place.
    pub fn at(uri: &str) -> Result<Self, StorageError> {
        Self::at_with(uri, environment())
    }

    /// As [`at`](Self::at), with these variables in place of the environment's.
    ///
    /// # Errors
    /// As [`at`](Self::at).
    pub fn at_with(
        uri: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StorageError> {
        let place = match Location::parse(uri)? {
            Location::Folder(path) => Place::File(path),
            Location::Objects { bucket, prefix } => {
                let mut parts: Vec<_> = prefix.parts().collect();
                let name = parts.pop().ok_or_else(|| no_keyring(uri))?;
                let around = uri.trim_end_matches('/');
                let around = around.strip_suffix(name.as_ref()).unwrap_or(around);
                let variables = variables.into_iter().collect();
                let store = RemoteStore::connect(around, &bucket, parts.into_iter().collect(), &variables)?;
                Place::Object(store, name.as_ref().to_owned())
            }
        };
        Ok(Self { uri: uri.to_owned(), place })
    }

    /// The path or URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Opens the keyring.
    ///
    /// # Errors
    /// When there is none, it cannot be reached, none of `masters` opens it, or it is damaged.
    pub fn open(&self, masters: &[MasterKey]) -> Result<Keyring, StorageError> {
        let bytes = match &self.place {
            Place::File(path) => read(path)?,
            Place::Object(store, name) => store.version(name)?.map(|version| version.bytes),
        };
        let bytes = bytes.ok_or_else(|| no_keyring(&self.uri))?;
        Ok(Keyring::unseal(&self.uri, &bytes, masters)?)
    }

    /// Makes a keyring with one data key, if there is none, and tells whether it did.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(&self, masters: &[MasterKey]) -> Result<bool, StorageError> {
        let bytes = Keyring::generate().seal(masters)?;
        match &self.place {
            Place::File(path) => {
                let _lock = lock(path)?;
                if read(path)?.is_some() {
                    return Ok(false);
                }
                write(path, &bytes)?;
                Ok(true)
            }
            Place::Object(store, name) => store.replace(name, bytes, None),
        }
    }

    /// Opens the keyring with one of `old`, has `change` change it, and writes it wrapped for `new`, in one step: whoever reads it
    /// meanwhile gets the one or the other.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where it cannot be written, or another program changed it meanwhile.
    pub fn change(
        &self,
        old: &[MasterKey],
        new: &[MasterKey],
        change: impl FnOnce(&mut Keyring),
    ) -> Result<Keyring, StorageError> {
        match &self.place {
            Place::File(path) => {
                let _lock = lock(path)?;
                let bytes = read(path)?.ok_or_else(|| no_keyring(&self.uri))?;
                let mut keyring = Keyring::unseal(&self.uri, &bytes, old)?;
                change(&mut keyring);
                write(path, &keyring.seal(new)?)?;
                Ok(keyring)
            }
            Place::Object(store, name) => {
                let version = store.version(name)?.ok_or_else(|| no_keyring(&self.uri))?;
                let mut keyring = Keyring::unseal(&self.uri, &version.bytes, old)?;
                change(&mut keyring);
                if store.replace(name, keyring.seal(new)?, Some(version.update))? {
                    return Ok(keyring);
                }
                let reason = "another program changed it meanwhile: try again";
                Err(StorageError::Uri { uri: self.uri.clone(), reason: reason.to_owned() })
            }
        }
    }
}

fn no_keyring(uri: &str) -> StorageError {
    let reason =
        "there is no keyring: make one with `fulmen keys generate`, or say in encryption.keyring where it is";
    StorageError::Uri { uri: uri.to_owned(), reason: reason.to_owned() }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::on_read(path, "read the keyring", error)),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    atomic::write(path, bytes).map_err(EncryptionError::from)?;
    Ok(())
}

/// One program at a time changes a keyring. The lock is on a file beside it, since the keyring itself is replaced.
fn lock(path: &Path) -> Result<File, StorageError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        atomic::create_folder(folder).map_err(EncryptionError::from)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let failed = |error| StorageError::on_write(path, "lock the keyring", error);
    let file = File::options().write(true).create(true).truncate(false).open(&beside).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}
