//! A run's own folder.
//!
//! ```text
//! <experiment>/<run id>/
//! ├── .hydra/config.yaml, overrides.yaml, hydra.yaml   as Hydra writes them
//! ├── worker.log                                       what the worker and its libraries said
//! ├── journal                                          what is not in the tracking store yet
//! ├── uploads                                          what has arrived of artifacts that are kept elsewhere; `uploaded` once all has
//! └── artifacts/                                       what the tracking store lists as artifacts
//!     ├── checkpoints/…                                one folder each, and the links `last` and `best`
//!     └── metrics.jsonl                                the worker's own record of what it has measured
//! ```

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use fulmen_contracts::{CHECKPOINTS, METRICS_RECORD};
use fulmen_encryption::is_encrypted;
use fulmen_storage::{ArtifactStore, StorageError};
use fulmen_tracking::{Run, Tag};
use fulmen_utils::atomic;
use serde_json::Value;

use crate::ManagerError;

/// The tag that names a run's folder where it is not around its artifacts.
const FOLDER_TAG: &str = "fulmen.folder";

/// A run's own folder.
#[derive(Debug, Clone)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder of a recorded run on this machine: the one that its tag `fulmen.folder` names, else the one around its artifacts.
    ///
    /// # Errors
    /// When it is elsewhere.
    pub fn of(run: &Run) -> Result<Self, ManagerError> {
        if let Some(tag) = run.data.tags.iter().find(|tag| tag.key == FOLDER_TAG) {
            return Ok(Self(PathBuf::from(&tag.value)));
        }
        let parent = local_artifacts(run).and_then(Path::parent);
        parent.map(|folder| Self(folder.to_path_buf())).ok_or_else(|| {
            ManagerError::NoCheckpoint(format!(
                "run {} keeps its artifacts at {}, which is not a folder here",
                run.info.run_id, run.info.artifact_uri
            ))
        })
    }

    /// Where a new run's folder goes: around its artifacts where they are on this machine and `default_root_dir` is not set; else
    /// below `default_root_dir`, or `mlruns`. There its place is recorded in the run's tag `fulmen.folder`, which is returned.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn place(
        run: &Run,
        default_root_dir: Option<&str>,
    ) -> Result<(Self, Option<Tag>), ManagerError> {
        let artifacts = local_artifacts(run);
        if default_root_dir.is_none() && artifacts.is_some() {
            return Ok((Self::of(run)?, None));
        }
        let below = Path::new(default_root_dir.unwrap_or("mlruns"))
            .join(&run.info.experiment_id)
            .join(&run.info.run_id);
        let path = std::path::absolute(&below).map_err(|error| atomic::WriteError::new(&below, error))?;
        let folder = Self(path);
        atomic::create_folder(&folder.artifacts())?;
        if let Some(artifacts) = artifacts {
            // The store finds the artifacts where it expects them.
            if let Some(parent) = artifacts.parent() {
                atomic::create_folder(parent)?;
            }
            std::os::unix::fs::symlink(folder.artifacts(), artifacts)
                .map_err(|error| atomic::WriteError::new(artifacts, error))?;
        }
        let tag = Tag::new(FOLDER_TAG, folder.0.to_string_lossy());
        Ok((folder, Some(tag)))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the tracking store lists as the run's artifacts; the worker writes here.
    pub fn artifacts(&self) -> PathBuf {
        self.0.join("artifacts")
    }

    /// What the worker and its libraries said.
    pub fn log(&self) -> PathBuf {
        self.0.join("worker.log")
    }

    /// What is not in the tracking store yet.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// What has arrived of artifacts that are kept elsewhere.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.0.join("uploads")
    }

    /// The same, once all has arrived.
    pub(crate) fn uploaded(&self) -> PathBuf {
        self.0.join("uploaded")
    }

    /// The configuration that the run was started with.
    pub fn config(&self) -> PathBuf {
        self.0.join(".hydra").join("config.yaml")
    }

    /// The checkpoint of this name or path: `best`, `last`, `epoch=3-step=96`.
    ///
    /// # Errors
    /// When there is none: the message names those that there are.
    pub fn checkpoint(&self, name: &str) -> Result<PathBuf, ManagerError> {
        let folder = self.checkpoints();
        let path = folder.join(name);
        if path.is_dir() {
            return Ok(fs::canonicalize(&path).unwrap_or(path));
        }
        let mut known: Vec<_> = fs::read_dir(&folder)
            .map(|entries| {
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            })
            .unwrap_or_default();
        known.retain(|name: &String| !name.starts_with('.'));
        known.sort();
        let known =
            if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        Err(ManagerError::NoCheckpoint(format!(
            "the run in {} has no checkpoint '{name}': {known}",
            self.0.display()
        )))
    }

    /// The checkpoint that the run goes on from, and what it keeps beside tensors: `last`, or else the one that training had come
    /// furthest in; none where it was ended before its first. `artifacts` are the run's own, decrypted where they are encrypted.
    ///
    /// # Errors
    /// When a checkpoint is encrypted, and is damaged or no key opens it: the run is not to begin anew over it.
    pub(crate) fn latest_checkpoint(
        &self,
        artifacts: &ArtifactStore,
    ) -> Result<Option<(PathBuf, Value)>, ManagerError> {
        let folder = self.checkpoints();
        let last = folder.join("last");
        let last = fs::canonicalize(&last).unwrap_or(last);
        if let Some((_, state)) = progress(artifacts, &last)? {
            return Ok(Some((last, state)));
        }
        let mut furthest: Option<(u64, PathBuf, Value)> = None;
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if is_hidden || path.is_symlink() {
                continue;
            }
            if let Some((batches, state)) = progress(artifacts, &path)?
                && furthest.as_ref().is_none_or(|(most, known, _)| (batches, &path) > (*most, known))
            {
                furthest = Some((batches, path, state));
            }
        }
        Ok(furthest.map(|(_, path, state)| (path, state)))
    }

    fn checkpoints(&self) -> PathBuf {
        self.artifacts().join(CHECKPOINTS)
    }

    /// The worker's own record of what it has measured.
    pub(crate) fn metrics(&self) -> PathBuf {
        self.artifacts().join(METRICS_RECORD)
    }

    /// Removes the folder and all that is in it. That it is gone already is no error.
    ///
    /// # Errors
    /// When a part of it may not be removed.
    pub fn remove(&self) -> Result<(), ManagerError> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(atomic::WriteError::new(&self.0, error).into())
            }
            _ => Ok(()),
        }
    }

    /// Makes the folder and writes what the run is started with.
    pub(crate) fn create(&self, files: &[(String, String)]) -> Result<(), ManagerError> {
        atomic::create_folder(&self.artifacts())?;
        for (name, text) in files {
            let path = self.0.join(name);
            if let Some(parent) = path.parent() {
                atomic::create_folder(parent)?;
            }
            atomic::write(&path, text.as_bytes())?;
        }
        Ok(())
    }

    /// The last lines of the worker's log, for a report.
    pub(crate) fn log_tail(&self, lines: usize) -> Vec<String> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].iter().map(|&line| line.to_owned()).collect()
    }
}

/// The folder of a run's artifacts, where it is on this machine.
fn local_artifacts(run: &Run) -> Option<&Path> {
    let uri = &run.info.artifact_uri;
    let path = uri.strip_prefix("file://").unwrap_or(uri);
    let is_local = !path.contains("://") && !path.starts_with("mlflow-artifacts:");
    is_local.then(|| Path::new(path))
}

/// Batches that training had done in the checkpoint in a folder of `artifacts`, and what it keeps beside tensors; none where it is
/// no checkpoint.
fn progress(artifacts: &ArtifactStore, checkpoint: &Path) -> Result<Option<(u64, Value)>, ManagerError> {
    if !checkpoint.join("manifest.json").is_file() {
        return Ok(None);
    }
    let file = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{CHECKPOINTS}/{file}/state.json");
    let mut text = Vec::new();
    let read = artifacts.reader(&name).and_then(|mut reader| {
        let read = reader.read_to_end(&mut text);
        read.map_err(|error| {
            StorageError::from_stream(&checkpoint.join("state.json"), "read the file", error)
        })
    });
    match read {
        Err(error @ StorageError::Encryption(_)) => return Err(error.into()),
        Err(_) => return Ok(None),
        Ok(_) => {}
    }
    if is_encrypted(&text) {
        return Err(ManagerError::Encrypted(format!(
            "{} is encrypted: set encryption.checkpoints, and say in encryption.master_key where the key is",
            checkpoint.display()
        )));
    }
    let state: Option<Value> = serde_json::from_slice(&text).ok();
    Ok(state.and_then(|state| {
        let batches = state.pointer("/trainer/total_batches")?.as_u64()?;
        Some((batches, state))
    }))
}

impl RunFolder {
    /// A folder for a run that is not recorded.
    pub(crate) fn scratch() -> Self {
        Self(std::env::temp_dir().join(format!("fulmen-{}", fulmen_utils::ids::short())))
    }
}
