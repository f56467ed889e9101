//! Where keyrings lie: a file, or an object.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use fulmen_encryption::{EncryptionError, Keyring, MasterKey};
use fulmen_utils::atomic;

use crate::{
    StorageError,
    location::Location,
    remote::{Environment, RemoteStore},
};

/// Opens the keyring at a path or URI such as `runs/keyring.age` or `s3://bucket/keyring.age`.
///
/// # Errors
/// When there is none, it cannot be reached, none of `masters` opens it, or it is damaged.
pub fn open_keyring(uri: &str, masters: &[MasterKey]) -> Result<Keyring, StorageError> {
    let bytes = match place(uri)? {
        Place::File(path) => read(&path)?,
        Place::Object(store, name) => store.version(&name)?.map(|version| version.bytes),
    };
    let bytes = bytes.ok_or_else(|| no_keyring(uri))?;
    Ok(Keyring::unseal(uri, &bytes, masters)?)
}

/// Makes a keyring with one data key, if there is none, and tells whether it did.
///
/// # Errors
/// When it cannot be written.
pub fn create_keyring(uri: &str, masters: &[MasterKey]) -> Result<bool, StorageError> {
    let bytes = Keyring::generate().seal(masters)?;
    match place(uri)? {
        Place::File(path) => {
            let _lock = lock(&path)?;
            if read(&path)?.is_some() {
                return Ok(false);
            }
            write(&path, &bytes)?;
            Ok(true)
        }
        Place::Object(store, name) => store.replace(&name, bytes, None),
    }
}

/// Opens the keyring with one of `old`, has `change` change it, and writes it wrapped for `new`, in one step: whoever reads it
/// meanwhile gets the one or the other.
///
/// # Errors
/// As [`open_keyring`], and where it cannot be written, or another program changed it meanwhile.
pub fn change_keyring(
    uri: &str,
    old: &[MasterKey],
    new: &[MasterKey],
    change: impl FnOnce(&mut Keyring),
) -> Result<Keyring, StorageError> {
    match place(uri)? {
        Place::File(path) => {
            let _lock = lock(&path)?;
            let bytes = read(&path)?.ok_or_else(|| no_keyring(uri))?;
            let mut keyring = Keyring::unseal(uri, &bytes, old)?;
            change(&mut keyring);
            write(&path, &keyring.seal(new)?)?;
            Ok(keyring)
        }
        Place::Object(store, name) => {
            let version = store.version(&name)?.ok_or_else(|| no_keyring(uri))?;
            let mut keyring = Keyring::unseal(uri, &version.bytes, old)?;
            change(&mut keyring);
            if store.replace(&name, keyring.seal(new)?, Some(version.update))? {
                return Ok(keyring);
            }
            let reason = "another program changed it meanwhile: try again";
            Err(StorageError::Uri { uri: uri.to_owned(), reason: reason.to_owned() })
        }
    }
}

enum Place {
    File(std::path::PathBuf),
    /// The store around it, and its name.
    Object(RemoteStore, String),
}

fn place(uri: &str) -> Result<Place, StorageError> {
    if let Location::Folder(path) = Location::parse(uri)? {
        return Ok(Place::File(path));
    }
    let (around, name) = uri.rsplit_once('/').unwrap_or((uri, ""));
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let store = RemoteStore::at(around, &environment)?;
    store.map(|store| Place::Object(store, name.to_owned())).ok_or_else(|| no_keyring(uri))
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
