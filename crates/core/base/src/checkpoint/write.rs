//! How a checkpoint comes to the disk. A kill or a power cut between any two lines of it leaves the last one valid:
//!
//! 1. the files are written into a hidden folder beside the others, each flushed to the disk, the manifest last;
//! 2. the folder gets its name in one step; one that was there under that name is hidden in the same step;
//! 3. `last` and `best` are moved, each in one step, and that is flushed too;
//! 4. what is not wanted any more is hidden first and then deleted, unless `last` or `best` still points to it.
//!
//! What is hidden (its name begins with a dot) is of no use to anybody; [`sweep`] deletes it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use fulmen_encryption::ScopedKeyring;
use fulmen_utils::atomic::{self, WriteError};
use fulmen_utils::ids;
use serde::Serialize;

use super::files::Files;
use super::manifest::{MANIFEST, Manifest, is_plain};
use super::{STATE_FILE, SavedState, Tensors};
use crate::callback::CheckpointRequest;
use crate::{Error, Result, weights};

/// Saves a checkpoint below the folder `checkpoints`, under the name and with the aliases that `request` says, and deletes
/// what it replaces. Where there are `keys`, nothing of it is ever on the disk in clear.
///
/// # Errors
/// When the disk is full or the folder may not be written to. The checkpoints that were there are then there still.
pub fn save(
    checkpoints: &Path,
    request: &CheckpointRequest,
    tensors: &Tensors,
    state: &SavedState,
    keys: Option<&ScopedKeyring>,
) -> Result<()> {
    let name = &request.name;
    if !is_plain(name) || name.starts_with('.') {
        return Err(Error::config(
            "callbacks",
            format!("'{name}' cannot be the name of a checkpoint's folder"),
        ));
    }
    atomic::create_folder(checkpoints)?;
    let hidden = checkpoints.join(format!(".{}.part", ids::short()));
    let path = checkpoints.join(name);
    let saved = write_files(&Files::named(&hidden, name, keys), tensors, state)
        .and_then(|()| Ok(atomic::put_in_place(&hidden, &path)?));
    // Half a checkpoint, or the one that was there before: of no use. That it cannot be removed is no second error.
    let _ = fs::remove_dir_all(&hidden);
    saved?;
    for alias in &request.aliases {
        point(checkpoints, alias, name)?;
    }
    for old in request.replaces.iter().filter(|old| *old != name) {
        discard(checkpoints, old);
    }
    Ok(())
}

/// Deletes what a save that was killed has left in the folder `checkpoints`; only where no other save is going on.
pub fn sweep(checkpoints: &Path) {
    let hidden = fs::read_dir(checkpoints).into_iter().flatten().flatten();
    for entry in hidden.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')) {
        // What stays costs only room.
        let _ = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
    }
}

fn write_files(checkpoint: &Files, tensors: &Tensors, state: &SavedState) -> Result<()> {
    let folder = checkpoint.folder();
    atomic::create_folder(folder)?;
    let mut files = tensors
        .files()
        .map(|(name, held)| Ok((name.to_owned(), checkpoint.write(name, |out| weights::write(out, held))?)))
        .collect::<Result<std::collections::BTreeMap<_, _>>>()?;
    let json = |value: &mut dyn Write, written: serde_json::Result<Vec<u8>>| -> Result<(), io::Error> {
        value.write_all(&written.map_err(io::Error::from)?)
    };
    let of_state = pretty(state);
    files.insert(STATE_FILE.to_owned(), checkpoint.write(STATE_FILE, |out| json(out, of_state))?);
    let manifest = pretty(&Manifest::new(files));
    checkpoint.write(MANIFEST, |out| json(out, manifest))?;
    atomic::sync(folder).map_err(|error| WriteError::new(folder, error))?;
    Ok(())
}

fn pretty(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec_pretty(value)
}

/// Makes `alias` (`last`, `best`) point to the checkpoint `name` beside it, in one step.
fn point(folder: &Path, alias: &str, name: &str) -> Result<(), WriteError> {
    let link = folder.join(alias);
    let beside = folder.join(format!(".{alias}.{}", ids::short()));
    std::os::unix::fs::symlink(name, &beside)
        .and_then(|()| fs::rename(&beside, &link))
        .and_then(|()| atomic::sync_folder(&link))
        .map_err(|error| {
            let _ = fs::remove_file(&beside);
            WriteError::new(&link, error)
        })
}

/// Deletes the checkpoint `name`, unless an alias points to it. One that stays costs only room.
fn discard(folder: &Path, name: &str) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    if !is_plain(name) || links.any(|target| target == Path::new(name)) {
        return;
    }
    let hidden = folder.join(format!(".{}.gone", ids::short()));
    if fs::rename(folder.join(name), &hidden).is_ok() {
        let _ = fs::remove_dir_all(&hidden);
    }
}
