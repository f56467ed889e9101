//! Artifacts of a run whose store keeps them elsewhere: brought there from the run's own folder.
//!
//! They go when the run has ended, and by `fulmen sync` where that could not be, or its process was killed. The file
//! `uploads` in the run's folder says that something may be missing there: it is made before the run begins, has a line for
//! each file that has arrived, and goes when all have. A file that is brought twice replaces itself.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use fulmen_storage::ArtifactStore;
use fulmen_tracking::{RemoteArtifacts, Run, TrackingStore};
use fulmen_utils::atomic::WriteError;
use serde::{Deserialize, Serialize};

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
    destination: Destination,
    /// What has arrived, as it was then.
    arrived: HashMap<String, Stamp>,
}

/// Where artifacts are brought.
#[derive(Debug)]
enum Destination {
    Store(ArtifactStore),
    Server(RemoteArtifacts, String),
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
    ) -> Result<Option<Self>, ManagerError> {
        let uri = &run.info.artifact_uri;
        let destination = if RemoteArtifacts::serves(uri) {
            match store.artifact_proxy() {
                Some(proxy) => Destination::Server(proxy, uri.clone()),
                // Only whoever speaks to that server could bring them.
                None => return Ok(None),
            }
        } else {
            let artifacts = ArtifactStore::open(uri)?;
            if artifacts.local().is_some() {
                return Ok(None);
            }
            Destination::Store(artifacts)
        };
        let path = folder.uploads();
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = opened.map_err(|error| WriteError::new(&path, error))?;
        let failed = |source| ManagerError::Read { path: path.clone(), source };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(failed(std::io::Error::other(
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
        Ok(Some(Self { folder: folder.clone(), path, file, destination, arrived }))
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
        if folder.uploads().is_file() { Self::begin(store, run, folder) } else { Ok(None) }
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
            tell(&name, stamp.bytes);
            if let Err(reason) = self.destination.put(&name, &path) {
                report.pending += 1;
                report.last_error = Some(format!("{name}: {reason}"));
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
            fs::remove_file(&self.path).map_err(|error| WriteError::new(&self.path, error))?;
        }
        Ok(report)
    }
}

impl Destination {
    fn put(&self, name: &str, from: &Path) -> Result<(), String> {
        match self {
            Self::Store(store) => store.put_file(name, from).map(drop).map_err(|error| error.to_string()),
            Self::Server(proxy, uri) => proxy.put_file(uri, name, from).map_err(|error| error.to_string()),
        }
    }
}

/// The files below `folder`. Links such as `last` point to what is brought anyway; hidden files are not whole yet.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
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

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Stamp { bytes: metadata.len(), modified_ns: u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX) })
}
