//! Carrying out what callbacks and the model ask for at their hooks.

use std::{fs, mem};

use super::fit::Fit;
use crate::Result;
use crate::callback::CheckpointRequest;

impl Fit<'_, '_> {
    /// Does what hooks have asked for.
    pub(super) fn carry_out(&mut self) -> Result<()> {
        self.session.record_requested()?;
        if mem::take(&mut self.session.requests.reschedule) {
            self.reschedule();
        }
        if let Some(reason) = self.session.requests.stop.take() {
            self.asked_to_stop.get_or_insert(reason);
        }
        if mem::take(&mut self.session.requests.update_batch_norm) {
            self.update_batch_norm()?;
        }
        for request in mem::take(&mut self.session.requests.checkpoints) {
            self.save(request)?;
        }
        for name in mem::take(&mut self.session.requests.remove_checkpoints) {
            // It may be on its way to the disk.
            self.session.saver.finish()?;
            self.remove_checkpoint(&name);
        }
        self.session.saver.check()
    }

    /// Has each schedule set what it gives at this point of the run.
    pub(super) fn reschedule(&mut self) {
        let state = &self.session.state;
        let epochs = state.epoch + u64::from(state.epoch_done);
        self.session.optimizers.start_schedules(epochs);
        self.session.learning_rate = self.session.optimizers.learning_rate();
    }

    fn save(&mut self, request: CheckpointRequest) -> Result<()> {
        self.touch_clock();
        self.session.save(self.model, self.data, request)
    }

    pub(super) fn save_interrupted(&mut self) -> Result<()> {
        self.touch_clock();
        self.session.save_interrupted(self.model, self.data)
    }

    /// A checkpoint that is not wanted any more, and the names that point to it. One that stays costs only room.
    fn remove_checkpoint(&self, name: &str) {
        let folder = self.session.trainer.checkpoint_folder();
        let _ = fs::remove_dir_all(folder.join(name));
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
