//! What a run that goes on needs to know of its earlier life.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use fulmen_contracts::Event;
use fulmen_contracts::event::Level;
use fulmen_storage::ArtifactStore;
use fulmen_tracking::{Run, RunRecorder, RunStatus, RunUpdate, TrackingStore, sync};
use fulmen_utils::atomic::WriteError;

use crate::once::{Known, recorded};
use crate::{Interrupts, ManagerError, RunFolder, flatten, record};

/// How soon the end of an earlier worker is noticed.
const LOOK: Duration = Duration::from_millis(50);

/// Where a run goes on, and what is recorded of it already.
pub(crate) struct Resumed {
    /// None: it begins anew.
    pub(crate) checkpoint: Option<PathBuf>,
    pub(crate) known: Known,
}

/// Waits until an earlier worker of the run has ended: it may be about to save. Its lock goes with it, however it ends.
pub(crate) fn wait_for_worker(
    folder: &RunFolder,
    interrupts: &Interrupts,
    mut tell: impl FnMut(&Event),
) -> Result<(), ManagerError> {
    let mut told = false;
    while is_worker_there(folder)? {
        if interrupts.0.load(Ordering::Relaxed) > 0 {
            return Err(ManagerError::NoCheckpoint(
                "the run's earlier worker has not ended yet: nothing was started".to_owned(),
            ));
        }
        if !told {
            told = true;
            let message = "the run's earlier worker has not ended yet: waiting for it".to_owned();
            tell(&Event::Log { level: Level::Warning, message });
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Whether a worker is at work in the folder, by the lock that it holds on its record.
pub(crate) fn is_worker_there(folder: &RunFolder) -> Result<bool, ManagerError> {
    let path = folder.metrics();
    let Ok(file) = File::options().read(true).write(true).open(&path) else { return Ok(false) };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(WriteError::new(&path, error).into()),
    }
}

/// Brings what an earlier manager left in the journal to the store, and what it did not hear of any more from the worker's own
/// record to the journal.
pub(crate) fn prepare(
    store: &std::sync::Arc<dyn TrackingStore>,
    run: &Run,
    folder: &RunFolder,
    config: &serde_json::Value,
    artifacts: &ArtifactStore,
    mut tell: impl FnMut(&Event),
) -> Result<(Resumed, RunRecorder), ManagerError> {
    let id = &run.info.run_id;
    if folder.journal().is_file() {
        sync(&folder.journal(), store.as_ref())?;
    }
    let run = store.run(id)?;
    let mut known = Known::of(store.as_ref(), &run)?;
    let recorder = RunRecorder::start(store.clone(), &folder.journal(), id)?;
    let update = RunUpdate { status: Some(RunStatus::Running), ..RunUpdate::default() };
    store.update_run(id, &update)?;
    if run.data.params.is_empty() {
        // It was ended before these had come to the store.
        recorder.log_params(&flatten::params(config))?;
    }
    let latest = folder.latest_checkpoint(artifacts)?;
    match &latest {
        Some((_, state)) => {
            let length = state.pointer("/recorded").and_then(serde_json::Value::as_u64).unwrap_or(0);
            recorded(&folder.metrics(), length)
                .try_for_each(|event| record::record(&recorder, &mut known, &event))?;
        }
        None => {
            let message = "the run was ended before its first checkpoint: it begins anew".to_owned();
            tell(&Event::Log { level: Level::Info, message });
        }
    }
    Ok((Resumed { checkpoint: latest.map(|(path, _)| path), known }, recorder))
}
