//! Saving beside training: the tensors are copied at once, and a thread of its own brings the copy to the disk.

use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use fulmen_contracts::Event;
use fulmen_contracts::event::Level;
use fulmen_encryption::ScopedKeyring;

use super::snapshot::Buffers;
use super::{SavedState, Tensors, write};
use crate::callback::CheckpointRequest;
use crate::events::EventSink;
use crate::{Error, Result};

/// A checkpoint to be saved.
#[derive(Debug)]
pub(crate) struct Save {
    /// The folder of all checkpoints.
    pub(crate) folder: PathBuf,
    pub(crate) request: CheckpointRequest,
    pub(crate) state: SavedState,
    /// What it is encrypted under; none: it is not.
    pub(crate) keys: Option<ScopedKeyring>,
    /// Told when it is on the disk.
    pub(crate) events: EventSink,
}

/// Saves one checkpoint at a time.
#[derive(Debug, Default)]
pub(crate) struct Saver {
    buffers: Buffers,
    in_flight: Option<JoinHandle<(Tensors, Result<()>)>>,
    has_swept: bool,
    has_told: bool,
}

impl Saver {
    /// Copies `live` as it is now and returns; what is still to be done goes on beside training. Where the checkpoint before
    /// this one is not on the disk yet, it is waited for.
    ///
    /// # Errors
    /// When the one before it could not be saved, or no thread can be started.
    pub(crate) fn save(&mut self, live: &Tensors, save: Save) -> Result<()> {
        self.wait(&save.events)?;
        if !self.has_swept {
            self.has_swept = true;
            write::sweep(&save.folder);
        }
        let snapshot = self.buffers.snapshot(live)?;
        let thread = thread::Builder::new().name("checkpoint".to_owned()).spawn(move || {
            fulmen_utils::priority::lower();
            let saved = save.carry_out(&snapshot);
            (snapshot, saved)
        });
        let thread = thread
            .map_err(|error| Error::Torch(format!("the thread that saves cannot be started: {error}")))?;
        self.in_flight = Some(thread);
        Ok(())
    }

    /// Makes room for copies of `live` beside training, so that the first save is as quick as the others.
    pub(crate) fn reserve(&mut self, live: Tensors) {
        if self.in_flight.is_none() {
            // Not to be had now: the save itself will say so.
            let reserved = move || (Buffers::reserve(&live).unwrap_or_default(), Ok(()));
            self.in_flight = thread::Builder::new().name("checkpoint".to_owned()).spawn(reserved).ok();
        }
    }

    /// Whether the save that ended since the last call went well.
    ///
    /// # Errors
    /// When it did not: why.
    pub(crate) fn check(&mut self) -> Result<()> {
        if self.in_flight.as_ref().is_some_and(JoinHandle::is_finished) { self.finish() } else { Ok(()) }
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// When it could not be brought there.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let Some(thread) = self.in_flight.take() else { return Ok(()) };
        match thread.join() {
            Ok((snapshot, saved)) => {
                self.buffers.give_back(snapshot);
                saved
            }
            Err(panic) => Err(Error::Torch(crate::trainer::panic_message(panic.as_ref()))),
        }
    }

    fn wait(&mut self, events: &EventSink) -> Result<()> {
        let is_late = self.has_swept && self.in_flight.as_ref().is_some_and(|thread| !thread.is_finished());
        if is_late && !self.has_told {
            self.has_told = true;
            events.log(
                Level::Warning,
                "checkpoints are asked for faster than the disk takes them: training waits for each; save less often",
            );
        }
        self.finish()
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        // Whoever wanted to know has asked.
        let _ = self.finish();
    }
}

impl Save {
    fn carry_out(self, tensors: &Tensors) -> Result<()> {
        let Self { folder, request, state, keys, events } = self;
        // First, so that no checkpoint is ahead of the record.
        events.sync_record()?;
        write::save(&folder, &request, tensors, &state, keys.as_ref())?;
        events.send(Event::Checkpoint {
            path: format!("checkpoints/{}", request.name),
            step: state.trainer.global_step,
            reason: request.reason,
        });
        Ok(())
    }
}
