//! A recorder over a database that another program keeps locked.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

use std::{sync::Arc, time::Duration};

use fulmen_tracking::{
    HistoryQuery, Metric, NewRun, RecorderOptions, RunRecorder, RunStatus, SqliteStore, TrackingStore, sync,
};
use rusqlite::Connection;

#[test]
fn a_locked_store_blocks_no_caller_and_gets_everything_later() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("fulmen.db");
    let journal = folder.path().join("run.journal");
    let store: Arc<dyn TrackingStore> = Arc::new(SqliteStore::open(&database).unwrap());
    let run = store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap();
    let run_id = run.info.run_id;
    let locking = Connection::open(&database).unwrap();
    locking.execute_batch("BEGIN IMMEDIATE").unwrap();

    let options =
        RecorderOptions { finish_timeout: Duration::from_millis(200), ..RecorderOptions::default() };
    let recorder = RunRecorder::start_with(Arc::clone(&store), &journal, &run_id, options).unwrap();
    // Were a call to wait for the store, it would wait as long as the lock is held: for ever.
    for step in 0..100 {
        recorder.log_metrics(&[Metric::at_step("loss", 1.0, step)]).unwrap();
    }
    let report = recorder.finish(RunStatus::Finished).unwrap();
    assert_eq!(
        (report.delivered, report.pending, report.journal.as_deref()),
        (0, 101, Some(journal.as_path()))
    );

    // The recorder's thread is still inside its call: both deliver now, and one of them only looks on.
    locking.execute_batch("ROLLBACK").unwrap();
    assert_eq!(sync(&journal, store.as_ref()).unwrap().delivered, 101);
    assert!(!journal.exists());
    let query = HistoryQuery { run_id: run_id.clone(), key: "loss".into(), ..HistoryQuery::default() };
    assert_eq!(store.metric_history(&query).unwrap().items.len(), 100);
    assert_eq!(store.run(&run_id).unwrap().info.status, RunStatus::Finished);
}
