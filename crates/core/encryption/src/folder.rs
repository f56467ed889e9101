//! Whole folders, such as a checkpoint's: each file is encrypted under its path within the folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use fulmen_utils::atomic::{self, WriteError};

use crate::{EncryptionError, Keyring};

/// Writes the files of `source` encrypted to `target`, under the same names. Each is on the disk when this returns; what was under
/// a name is replaced in one step.
///
/// # Errors
/// When a file cannot be read or written, or `source` holds a link or another thing that is neither file nor folder.
pub fn encrypt_folder(keyring: &Keyring, source: &Path, target: &Path) -> Result<(), EncryptionError> {
    for name in files(source)? {
        write(&target.join(&name), |file| {
            let mut input = open(&source.join(&name))?;
            let mut writer = keyring.encrypt(&name, file).map_err(io::Error::other)?;
            io::copy(&mut input, &mut writer)?;
            writer.finish().map(|_| ())
        })?;
    }
    Ok(())
}

/// Writes the files of `source`, which [`encrypt_folder`] made, decrypted to `target`. A file that is damaged, cut off or swapped
/// with another is named, and not written.
///
/// # Errors
/// As [`encrypt_folder`], and where a file is not as it was written.
pub fn decrypt_folder(keyring: &Keyring, source: &Path, target: &Path) -> Result<(), EncryptionError> {
    for name in files(source)? {
        write(&target.join(&name), |file| {
            let path = source.join(&name);
            let input = open(&path)?;
            let mut reader =
                keyring.decrypt(&name, &path.display().to_string(), input).map_err(io::Error::other)?;
            io::copy(&mut reader, file).map(|_| ())
        })?;
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    let failed = |source| io::Error::other(EncryptionError::Io { file: path.display().to_string(), source });
    File::open(path).map_err(failed)
}

fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), EncryptionError> {
    path.parent().map_or(Ok(()), atomic::create_folder)?;
    atomic::write_with(path, fill).map_err(|error| match error {
        // The fault of what was read, rather than of the place that was written to.
        WriteError::Other { path, source } => match source.downcast::<EncryptionError>() {
            Ok(error) => error,
            Err(source) => WriteError::Other { path, source }.into(),
        },
        error => error.into(),
    })
}

/// Paths of all files within `folder`, relative to it, `/` between parts, sorted.
fn files(folder: &Path) -> Result<Vec<String>, EncryptionError> {
    let failed = |path: &Path, source| EncryptionError::Io { file: path.display().to_string(), source };
    let (mut found, mut pending) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = pending.pop() {
        let path = folder.join(&below);
        for entry in fs::read_dir(&path).map_err(|error| failed(&path, error))? {
            let entry = entry.map_err(|error| failed(&path, error))?;
            let kind = entry.file_type().map_err(|error| failed(&entry.path(), error))?;
            let name = below.join(entry.file_name());
            if kind.is_dir() {
                pending.push(name);
            } else if let (true, Some(name)) = (kind.is_file(), name.to_str()) {
                found.push(name.to_owned());
            } else {
                return Err(EncryptionError::Special { path: entry.path() });
            }
        }
    }
    found.sort();
    Ok(found)
}
