//! A run's own record of what it measured: `metrics.jsonl` in its folder, one metrics event a line.
//!
//! It outlives a kill of the worker, of whoever reads its events, and of both: a checkpoint knows how long the record was when
//! it was saved, and is only there once that much of it is on the disk. A run that goes on from a checkpoint cuts the record
//! back to that length, and goes on writing from there: so each value is in it once, whatever happened meanwhile.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fulmen_contracts::{Event, METRICS_RECORD};
use fulmen_utils::atomic::WriteError;

use crate::{Error, Result};

/// A run's record of metrics, held by one process at a time.
#[derive(Debug)]
pub struct MetricsRecord {
    path: PathBuf,
    file: File,
    /// Where the next line goes.
    position: Mutex<u64>,
}

impl MetricsRecord {
    /// Opens the record of the run in `folder`, or begins it.
    ///
    /// # Errors
    /// When it cannot be written, or another process is at work on the same run.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(METRICS_RECORD);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| WriteError::new(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::checkpoint(
                    path,
                    "another worker is at work on this run: wait for its end, or end it",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(WriteError::new(&path, error).into()),
        }
        let length = file.metadata().map_err(|error| WriteError::new(&path, error))?.len();
        Ok(Self { path, file, position: Mutex::new(length) })
    }

    /// Writes an event. It is there when this returns, as far as the death of the process is concerned.
    ///
    /// # Errors
    /// When the disk is full; what was written of the line is then written over by the next.
    pub fn append(&self, event: &Event) -> Result<()> {
        let mut line =
            serde_json::to_vec(event).map_err(io::Error::from).map_err(|error| self.failure(error))?;
        line.push(b'\n');
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(&line, *position).map_err(|error| self.failure(error))?;
        *position += line.len() as u64;
        Ok(())
    }

    /// How long it is, in bytes.
    pub fn position(&self) -> u64 {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was written after `position`.
    ///
    /// # Errors
    /// When the file cannot be changed.
    pub fn cut_back(&self, position: u64) -> Result<()> {
        let mut at = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have deleted the file since.
        *at = position.min(*at);
        self.file.set_len(*at).map_err(|error| self.failure(error))
    }

    /// Brings what was written to the disk.
    ///
    /// # Errors
    /// When the disk is full or broken.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| self.failure(error))
    }

    fn failure(&self, error: io::Error) -> Error {
        WriteError::new(&self.path, error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fulmen_contracts::Axis;

    fn event(step: u64) -> Event {
        let values = [("loss".to_owned(), 0.1 + step as f64)].into();
        Event::Metrics { axis: Axis::Step, at: step, step, time_ms: 0, values }
    }

    fn steps(path: &Path) -> Vec<u64> {
        let text = std::fs::read_to_string(path.join(METRICS_RECORD)).unwrap();
        let step = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap();
        text.lines().map(step).collect()
    }

    #[test]
    fn what_came_after_a_checkpoint_is_cut_back_and_written_again_once() {
        let folder = tempfile::tempdir().unwrap();
        let record = MetricsRecord::open(folder.path()).unwrap();
        record.append(&event(1)).unwrap();
        let kept = record.position();
        record.append(&event(2)).unwrap();
        drop(record);
        // Killed within a line.
        let mut text = std::fs::read(folder.path().join(METRICS_RECORD)).unwrap();
        text.extend(b"{\"event\": \"met");
        std::fs::write(folder.path().join(METRICS_RECORD), text).unwrap();
        let record = MetricsRecord::open(folder.path()).unwrap();
        record.cut_back(kept).unwrap();
        record.append(&event(2)).unwrap();
        assert_eq!(steps(folder.path()), [1, 2]);
    }

    #[test]
    fn one_process_at_a_time_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let _record = MetricsRecord::open(folder.path()).unwrap();
        let refusal = MetricsRecord::open(folder.path()).unwrap_err().to_string();
        assert!(refusal.contains("another worker is at work on this run"), "{refusal}");
    }
}
