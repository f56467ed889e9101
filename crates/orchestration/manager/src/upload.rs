//! Artifacts of a run whose store keeps them elsewhere: brought there from the run's own folder.
//!
//! They go when the run has ended, and by `fulmen sync` where that could not be, or its process was killed. The file
//! `uploads` in the run's folder says that something may be missing there: it is made before the run begins, and has a line for
//! each file that has arrived. When all have, it is called `uploaded`; a run that goes on begins from it, and brings what changed.
//! A file that is brought twice replaces itself.

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use fulmen_contracts::settings::Encrypted;
use fulmen_storage::ArtifactStore;
use fulmen_tracking::{RemoteArtifacts, Run, TrackingStore};
use fulmen_utils::atomic::WriteError;
use serde::{Deserialize, Serialize};

use crate::encryption::{encrypted_of, is_file_encrypted};
use crate::{ManagerError, RunFolder};

/// What became of the artifacts of a run that are to be elsewhere.
#[derive(Debug, Default)]
pub struct UploadReport {
    /// Files that were brought now.
    pub uploaded: u64,
    /// Files that are still only in the run's own folder.
    pub pending: u64,
    /// Why, where some are pending.
    pub last_error: Option<String>,
}

/// The uploads of one run. One process at a time has them, by an advisory lock.
#[derive(Debug)]
pub struct Uploads {
    folder: RunFolder,
    path: PathBuf,
    file: File,
    destination: ArtifactStore,
    /// What is to be encrypted, and goes nowhere before it is.
    encrypted: Option<Encrypted>,
    /// What has arrived, as it was then.
    arrived: HashMap<String, Stamp>,
}

/// Where the artifacts of a run are kept; none where a tracking server keeps them, and `store` does not speak to it.
///
/// # Errors
/// When the run's artifact URI names no store that this program speaks to.
pub fn artifacts_of(store: &dyn TrackingStore, run: &Run) -> Result<Option<ArtifactStore>, ManagerError> {
    let uri = &run.info.artifact_uri;
    if RemoteArtifacts::serves(uri) {
        return Ok(store.artifact_proxy().map(|proxy| proxy.store(uri)));
    }
    Ok(Some(ArtifactStore::open(uri)?))
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    modified_ns: u64,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Arrived {
    name: String,
    #[serde(flatten)]
    stamp: Stamp,
}

impl Uploads {
    /// The uploads of a run that begins or goes on; none where its artifacts are where the run writes them.
    pub(crate) fn begin(
        store: &dyn TrackingStore,
        run: &Run,
        folder: &RunFolder,
        encrypted: Option<Encrypted>,
    ) -> Result<Option<Self>, ManagerError> {
        let elsewhere = artifacts_of(store, run)?.filter(|artifacts| artifacts.local().is_none());
        let Some(destination) = elsewhere else { return Ok(None) };
        let path = folder.uploads();
        match fs::rename(folder.uploaded(), &path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(WriteError::new(&path, error).into());
            }
            _ => {}
        }
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = opened.map_err(|error| WriteError::new(&path, error))?;
        let failed = |source| ManagerError::Read { path: path.clone(), source };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(failed(io::Error::other(
                    "another process is bringing the artifacts of this run",
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // A line that was cut short is one of a file that is brought again.
        let lines = BufReader::new(&file).lines().map_while(Result::ok);
        let arrived = lines
            .filter_map(|line| serde_json::from_str::<Arrived>(&line).ok())
            .map(|Arrived { name, stamp }| (name, stamp))
            .collect();
        Ok(Some(Self { folder: folder.clone(), path, file, destination, encrypted, arrived }))
    }

    /// The uploads that a run has left behind; none where there are none.
    ///
    /// # Errors
    /// When they cannot be read, or another process has them.
    pub fn left_behind(
        store: &dyn TrackingStore,
        run: &Run,
        folder: &RunFolder,
    ) -> Result<Option<Self>, ManagerError> {
        if folder.uploads().is_file() { Self::begin(store, run, folder, encrypted_of(run)) } else { Ok(None) }
    }

    /// Brings what has not arrived, telling of each file's name and bytes before it goes. At the first that fails the rest waits.
    ///
    /// # Errors
    /// When the run's own folder cannot be read or written.
    pub fn finish(mut self, mut tell: impl FnMut(&str, u64)) -> Result<UploadReport, ManagerError> {
        let root = self.folder.artifacts();
        let mut waiting = Vec::new();
        files(&root, &mut waiting).map_err(|source| ManagerError::Read { path: root.clone(), source })?;
        waiting.sort();
        let mut report = UploadReport::default();
        for path in waiting {
            let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
            let failed = |source| ManagerError::Read { path: path.clone(), source };
            let stamp = stamp(&path).map_err(failed)?;
            if self.arrived.get(&name) == Some(&stamp) {
                continue;
            }
            if report.last_error.is_some() {
                report.pending += 1;
                continue;
            }
            let is_to_be_encrypted = self.encrypted.is_some_and(|encrypted| encrypted.covers(&name));
            if is_to_be_encrypted && !is_file_encrypted(&path).map_err(failed)? {
                report.pending += 1;
                report.last_error = Some(format!("{name}: is not encrypted yet"));
                continue;
            }
            tell(&name, stamp.bytes);
            if let Err(error) = self.destination.put_file(&name, &path) {
                report.pending += 1;
                report.last_error = Some(format!("{name}: {}", with_causes(&error)));
                continue;
            }
            report.uploaded += 1;
            let mut line = serde_json::to_vec(&Arrived { name: name.clone(), stamp: stamp.clone() })
                .map_err(|error| failed(error.into()))?;
            line.push(b'\n');
            let noted = self.file.write_all(&line);
            noted.map_err(|error| WriteError::new(&self.path, error))?;
            self.arrived.insert(name, stamp);
        }
        if report.pending == 0 {
            fs::rename(&self.path, self.folder.uploaded())
                .map_err(|error| WriteError::new(&self.path, error))?;
        }
        Ok(report)
    }
}

/// An error and what it comes from, in one line.
fn with_causes(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The files below `folder`. Links such as `last` point to what is brought anyway; hidden files are not whole yet.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            files(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Stamp { bytes: metadata.len(), modified_ns: u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX) })
}
