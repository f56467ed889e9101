//! A disk that fills up while a run saves. It is a small file system in memory, which only root may mount: elsewhere the test says
//! that it is skipped.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test")]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Journal, RecordingCallback, RecordingData, RecordingModel, trainer_telling};
use fulmen_base::checkpoint::Checkpoint;
use fulmen_base::events::EventSink;
use fulmen_base::trainer::{FitOutcome, Optimizers, Parts, TrainerConfig};
use fulmen_base::{Model, Result, SchedulerContext};
use fulmen_contracts::Event;
use serde_json::json;

/// Trains; a checkpoint is saved at the end of each epoch.
fn fitted(
    folder: &Path,
    resume: Option<&Checkpoint>,
    events: EventSink,
) -> (Result<FitOutcome>, Vec<String>) {
    let journal = Journal::default();
    fulmen_torch::tch::manual_seed(1);
    let mut model = RecordingModel::new(&journal, false);
    let mut data = RecordingData::new(&journal);
    let config = json!({"max_epochs": 4, "limit_val_batches": 0});
    let mut trainer =
        trainer_telling(serde_json::from_value::<TrainerConfig>(config).unwrap(), folder, events);
    trainer.callbacks.push(("recorder".to_owned(), Box::new(RecordingCallback::new(&journal))));
    let mut configure =
        |model: &dyn Model, _: SchedulerContext| Ok(Optimizers::one(common::sgd(model), None));
    let parts = Parts { model: &mut model, data: &mut data, configure_optimizers: &mut configure };
    (trainer.fit(parts, resume), journal.taken())
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

fn bytes(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("checkpoints/epoch=3/model.safetensors")).unwrap()
}

#[test]
fn a_disk_that_fills_up_ends_the_run_and_leaves_the_checkpoint_before_to_go_on_from() {
    let scratch = tempfile::tempdir().unwrap();
    let (disk, elsewhere) = (scratch.path().join("disk"), scratch.path().join("elsewhere"));
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return fulmen_utils::testing::skipped("no file system can be mounted here");
    }
    let _unmount = Unmount(disk.clone());
    fitted(&elsewhere, None, EventSink::new(|_| {})).0.unwrap();

    let filler = disk.join("filler");
    let fills = EventSink::new({
        let filler = filler.clone();
        // The first checkpoint is on the disk: nothing else fits on it from now on.
        move |event| match event {
            Event::Checkpoint { .. } if !filler.exists() => fill(&filler),
            _ => {}
        }
    });
    let (ended, calls) = fitted(&disk, None, fills);
    let message = ended.unwrap_err().to_string();
    assert!(message.contains("the disk is full"), "{message}");
    assert!(calls.contains(&"on_exception".to_owned()), "{calls:?}");

    fs::remove_file(filler).unwrap();
    let last = Checkpoint::open(&disk.join("checkpoints/last"), None).unwrap();
    assert_eq!(last.state().unwrap().trainer.epoch, 0);
    fitted(&disk, Some(&last), EventSink::new(|_| {})).0.unwrap();
    assert!(bytes(&disk) == bytes(&elsewhere), "the weights differ");
    let hidden = fs::read_dir(disk.join("checkpoints")).unwrap().flatten();
    assert!(hidden.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with('.')));
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}
