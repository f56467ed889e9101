//! Journals and the recorder.

use std::{path::Path, time::Duration};

use super::{CaseResult, StoreFixture, history, metrics, new_run, point, refused};
use crate::{
    ErrorKind, JournalBatch, JournalError, Param, RecorderOptions, RunBatch, RunFinish, RunRecorder,
    RunStatus, Tag, TrackingError, sync,
};

fn records(after: u64, last: u64, batch: RunBatch) -> JournalBatch {
    JournalBatch { journal_id: "j".to_owned(), after, last, batch, finish: None }
}

fn folder() -> Result<tempfile::TempDir, TrackingError> {
    tempfile::tempdir().map_err(|source| {
        JournalError::Io { path: std::env::temp_dir(), action: "create a folder in it", source }.into()
    })
}

fn impatient() -> RecorderOptions {
    RecorderOptions { finish_timeout: Duration::from_millis(200), ..RecorderOptions::default() }
}

fn abandon(recorder: RunRecorder, journal: &Path) {
    drop(recorder);
    // The sender ends by itself; this tests the state after a death, not the sender, so it has to be gone.
    while crate::journal::Journal::open_left_over(journal).is_err() {
        std::thread::yield_now();
    }
}

pub fn records_are_written_once_and_in_order(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    assert_eq!(store.journal_position(&run_id, "j")?, 0);
    let first = records(0, 3, metrics([point("m", 1.0, 1, 1)]));
    store.log_journal(&run_id, &first)?;
    assert_eq!(store.journal_position(&run_id, "j")?, 3);
    refused(ErrorKind::InvalidState, store.log_journal(&run_id, &first));
    refused(
        ErrorKind::InvalidState,
        store.log_journal(&run_id, &records(4, 5, metrics([point("m", 2.0, 1, 2)]))),
    );
    refused(
        ErrorKind::InvalidState,
        store.log_journal(&run_id, &records(3, 3, metrics([point("m", 2.0, 1, 2)]))),
    );
    assert_eq!(history(store.as_ref(), &run_id, "m")?.len(), 1);
    store.log_journal(&run_id, &records(3, 1 << 40, metrics([point("m", 2.0, 1, 2)])))?;
    assert_eq!(store.journal_position(&run_id, "j")?, 1 << 40);
    assert_eq!(store.journal_position(&run_id, "another journal")?, 0);
    Ok(())
}

pub fn a_refused_record_moves_nothing(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    store.log_batch(&run_id, &RunBatch { params: vec![Param::new("p", "1")], ..RunBatch::default() })?;
    let conflict = RunBatch { params: vec![Param::new("p", "2")], ..metrics([point("m", 1.0, 1, 1)]) };
    refused(ErrorKind::InvalidParameter, store.log_journal(&run_id, &records(0, 1, conflict)));
    assert_eq!(store.journal_position(&run_id, "j")?, 0);
    assert!(history(store.as_ref(), &run_id, "m")?.is_empty());
    Ok(())
}

pub fn the_end_of_a_run_is_recorded(fixture: &dyn StoreFixture) -> CaseResult {
    let store = fixture.open();
    let run_id = new_run(store.as_ref())?;
    let finish = Some(RunFinish { status: RunStatus::Failed, end_time: 42 });
    store.log_journal(&run_id, &JournalBatch { finish, ..records(0, 1, RunBatch::default()) })?;
    let info = store.run(&run_id)?.info;
    assert_eq!((info.status, info.end_time), (RunStatus::Failed, Some(42)));
    Ok(())
}

pub fn the_recorder_delivers_everything_and_removes_its_journal(fixture: &dyn StoreFixture) -> CaseResult {
    let (store, folder) = (fixture.open(), folder()?);
    let run_id = new_run(store.as_ref())?;
    let journal = folder.path().join("deep/run.journal");
    let recorder = RunRecorder::start(store.clone(), &journal, &run_id)?;
    recorder.log_params(&(0..250).map(|number| Param::new(format!("p{number}"), "v")).collect::<Vec<_>>())?;
    recorder.set_tags(&[Tag::new("t", "1")])?;
    recorder.set_tags(&[Tag::new("t", "2")])?;
    recorder.log_metrics(&(0..2500).map(|step| point("big", 0.5, 1, step)).collect::<Vec<_>>())?;
    for step in 0..500 {
        recorder.log_metrics(&[point("loss", 1.0, 1, step), point("nan", f64::NAN, 1, step)])?;
    }
    let report = recorder.finish(RunStatus::Finished)?;
    assert_eq!((report.pending, report.delivered), (0, 3 + 2 + 3 + 500 + 1));
    assert!(report.refused.is_empty() && report.journal.is_none() && !journal.exists());
    let run = store.run(&run_id)?;
    assert_eq!(run.info.status, RunStatus::Finished);
    assert_eq!(run.data.params.len(), 250);
    assert!(run.data.tags.contains(&Tag::new("t", "2")));
    for (key, count) in [("big", 2500), ("loss", 500), ("nan", 500)] {
        assert_eq!(history(store.as_ref(), &run_id, key)?.len(), count);
    }
    Ok(())
}

pub fn a_left_over_journal_is_delivered_once(fixture: &dyn StoreFixture) -> CaseResult {
    let (store, folder) = (fixture.open(), folder()?);
    let run_id = new_run(store.as_ref())?;
    let journal = folder.path().join("run.journal");
    let recorder = RunRecorder::start(store.clone(), &journal, &run_id)?;
    for step in 0..300 {
        recorder.log_metrics(&[point("loss", 1.0, step, step)])?;
    }
    abandon(recorder, &journal);
    let copy = folder.path().join("copy.journal");
    let copied = std::fs::copy(&journal, &copy);
    assert!(copied.is_ok_and(|bytes| bytes > 0));
    assert_eq!(sync(&journal, store.as_ref())?.delivered, 300);
    assert!(!journal.exists());
    // The same journal again, as from a backup.
    assert_eq!(sync(&copy, store.as_ref())?.delivered, 300);
    assert_eq!(history(store.as_ref(), &run_id, "loss")?.len(), 300);
    assert!(matches!(
        sync(&journal, store.as_ref()),
        Err(TrackingError::Journal(JournalError::Missing { .. }))
    ));
    Ok(())
}

pub fn a_recorder_goes_on_where_a_journal_ends(fixture: &dyn StoreFixture) -> CaseResult {
    let (store, folder) = (fixture.open(), folder()?);
    let run_id = new_run(store.as_ref())?;
    let journal = folder.path().join("run.journal");
    let recorder = RunRecorder::start(store.clone(), &journal, &run_id)?;
    recorder.log_metrics(&[point("loss", 1.0, 1, 1)])?;
    recorder.log_metrics(&[point("loss", 1.0, 1, 2)])?;
    let other = RunRecorder::start(store.clone(), &journal, &run_id);
    assert!(matches!(other, Err(TrackingError::Journal(JournalError::InUse { .. }))));
    abandon(recorder, &journal);
    sync(&journal, store.as_ref())?;

    // The store has all; then the last record disappears from the file, as a loss of power may have it.
    let recorder = RunRecorder::start(store.clone(), &journal, &run_id)?;
    recorder.log_metrics(&[point("loss", 1.0, 1, 3)])?;
    let length = std::fs::metadata(&journal).map_or(0, |metadata| metadata.len());
    recorder.log_metrics(&[point("loss", 1.0, 1, 4)])?;
    while recorder.pending() > 0 {
        std::thread::yield_now();
    }
    abandon(recorder, &journal);
    let cut = std::fs::OpenOptions::new().write(true).open(&journal).and_then(|file| file.set_len(length));
    assert!(cut.is_ok());
    let recorder = RunRecorder::start(store.clone(), &journal, &run_id)?;
    recorder.log_metrics(&[point("loss", 1.0, 1, 5)])?;
    assert_eq!(recorder.finish(RunStatus::Finished)?.pending, 0);
    let steps: Vec<i64> =
        history(store.as_ref(), &run_id, "loss")?.iter().map(|metric| metric.step).collect();
    assert_eq!(steps, [1, 2, 3, 4, 5]);
    Ok(())
}

pub fn a_refused_param_costs_nothing_else(fixture: &dyn StoreFixture) -> CaseResult {
    let (store, folder) = (fixture.open(), folder()?);
    let run_id = new_run(store.as_ref())?;
    store.log_batch(&run_id, &RunBatch { params: vec![Param::new("lr", "0.1")], ..RunBatch::default() })?;
    let recorder = RunRecorder::start(store.clone(), &folder.path().join("run.journal"), &run_id)?;
    recorder.log_metrics(&[point("loss", 1.0, 1, 1)])?;
    recorder.log_params(&[Param::new("a", "1"), Param::new("lr", "0.2"), Param::new("b", "2")])?;
    refused(ErrorKind::InvalidParameter, recorder.log_params(&[Param::new("a", "other")]));
    refused(ErrorKind::InvalidParameter, recorder.log_metrics(&[point("bad\nkey", 1.0, 1, 1)]));
    recorder.log_metrics(&[point("loss", 1.0, 1, 2)])?;
    let report = recorder.finish(RunStatus::Finished)?;
    assert_eq!(report.pending, 0);
    assert_eq!(report.refused.iter().map(|refusal| refusal.what.as_str()).collect::<Vec<_>>(), ["param lr"]);
    let run = store.run(&run_id)?;
    assert_eq!(run.data.params, [Param::new("a", "1"), Param::new("b", "2"), Param::new("lr", "0.1")]);
    assert_eq!(history(store.as_ref(), &run_id, "loss")?.len(), 2);
    assert_eq!(run.info.status, RunStatus::Finished);
    Ok(())
}

pub fn a_deleted_run_leaves_the_journal_behind(fixture: &dyn StoreFixture) -> CaseResult {
    let (store, folder) = (fixture.open(), folder()?);
    let run_id = new_run(store.as_ref())?;
    let journal = folder.path().join("run.journal");
    let recorder = RunRecorder::start_with(store.clone(), &journal, &run_id, impatient())?;
    store.delete_run(&run_id)?;
    recorder.log_metrics(&[point("loss", 1.0, 1, 1)])?;
    let report = recorder.finish(RunStatus::Finished)?;
    assert_eq!((report.pending, report.journal.as_deref()), (2, Some(journal.as_path())));
    assert!(report.last_error.is_some_and(|error| error.contains("restore it first")));
    store.restore_run(&run_id)?;
    while crate::journal::Journal::open_left_over(&journal).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(sync(&journal, store.as_ref())?.delivered, 2);
    assert_eq!(store.run(&run_id)?.info.status, RunStatus::Finished);
    Ok(())
}

pub fn what_fails_for_a_while_is_delivered_later(fixture: &dyn StoreFixture) -> CaseResult {
    let (store, folder) = (fixture.open(), folder()?);
    let run_id = new_run(store.as_ref())?;
    let recorder = RunRecorder::start(store.clone(), &folder.path().join("run.journal"), &run_id)?;
    store.delete_run(&run_id)?;
    recorder.log_metrics(&[point("loss", 1.0, 1, 1)])?;
    while recorder.last_error().is_none() {
        std::thread::yield_now();
    }
    recorder.log_metrics(&[point("loss", 1.0, 1, 2)])?;
    assert_eq!(recorder.pending(), 2);
    store.restore_run(&run_id)?;
    assert_eq!(recorder.finish(RunStatus::Finished)?.pending, 0);
    assert_eq!(history(store.as_ref(), &run_id, "loss")?.len(), 2);
    Ok(())
}
