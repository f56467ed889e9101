//! Several processes at one database, and processes that are killed: this test starts itself again as a writer.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

use std::{
    collections::HashSet,
    env,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use fulmen_tracking::{
    HistoryQuery, Metric, NewRun, RunBatch, RunRecorder, RunStatus, SqliteStore, TrackingStore, sync,
};

const FOLDER: &str = "FULMEN_TEST_FOLDER";
const RUN: &str = "FULMEN_TEST_RUN";
const WRITER: &str = "FULMEN_TEST_WRITER";

fn store(folder: &Path) -> Arc<dyn TrackingStore> {
    Arc::new(SqliteStore::open(&folder.join("fulmen.db")).unwrap())
}

fn new_run(store: &dyn TrackingStore) -> String {
    store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap().info.run_id
}

fn steps(store: &dyn TrackingStore, run_id: &str) -> Vec<Metric> {
    let query = HistoryQuery { run_id: run_id.into(), key: "m".into(), ..HistoryQuery::default() };
    store.metric_history(&query).unwrap().items
}

fn spawn(role: &str, folder: &Path, run_id: &str, writer: usize) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", role, "--nocapture"])
        .envs([(FOLDER, folder.as_os_str()), (RUN, run_id.as_ref()), (WRITER, writer.to_string().as_ref())])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a child was told; `None` in the parent, where its test has nothing to do.
fn role() -> Option<(Arc<dyn TrackingStore>, std::path::PathBuf, String, f64)> {
    let folder = std::path::PathBuf::from(env::var_os(FOLDER)?);
    Some((store(&folder), folder, env::var(RUN).unwrap(), env::var(WRITER).unwrap().parse().unwrap()))
}

#[test]
fn child_writes_batches() {
    let Some((store, _, run_id, writer)) = role() else { return };
    for batch in 0..20_i64 {
        let point = |step| Metric { timestamp: 1, ..Metric::at_step("m", writer, batch * 50 + step) };
        store
            .log_batch(&run_id, &RunBatch { metrics: (0..50).map(point).collect(), ..RunBatch::default() })
            .unwrap();
    }
}

#[test]
fn child_records_until_it_is_killed() {
    let Some((store, folder, run_id, _)) = role() else { return };
    let recorder = RunRecorder::start(store, &folder.join("run.journal"), &run_id).unwrap();
    for step in 0.. {
        recorder.log_metrics(&[Metric { timestamp: 1, ..Metric::at_step("m", 1.0, step) }]).unwrap();
        if step % 100 == 0 {
            // So that the parent knows how far the caller was told that its points are safe.
            std::fs::write(folder.join("progress.new"), step.to_string()).unwrap();
            std::fs::rename(folder.join("progress.new"), folder.join("progress")).unwrap();
        }
    }
}

#[test]
fn points_of_several_processes_are_all_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let run_id = new_run(store.as_ref());
    let children: Vec<_> =
        (0..3).map(|writer| spawn("child_writes_batches", folder.path(), &run_id, writer)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let points = steps(store.as_ref(), &run_id);
    assert_eq!(points.len(), 3 * 1000);
    let distinct: HashSet<_> = points.iter().map(|point| (point.step, point.value.to_bits())).collect();
    assert_eq!(distinct.len(), points.len());
}

#[test]
fn a_killed_process_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let run_id = new_run(store.as_ref());
    let progress = || -> i64 {
        std::fs::read_to_string(folder.path().join("progress")).map_or(0, |text| text.parse().unwrap())
    };
    // Killed several times, each time at another place; each process goes on with the journal of the one before, and
    // logs the same steps again, as a run does that resumes from its start.
    for round in 1..=3 {
        let mut child = spawn("child_records_until_it_is_killed", folder.path(), &run_id, 0);
        let _ = std::fs::remove_file(folder.path().join("progress"));
        while progress() < 700 * round {
            assert!(child.try_wait().unwrap().is_none(), "the writer died by itself");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let safe = progress();
    let report = sync(&folder.path().join("run.journal"), store.as_ref()).unwrap();
    assert!(report.delivered >= safe as u64 && report.refused.is_empty());
    let points = steps(store.as_ref(), &run_id);
    assert!(points.len() as i64 > safe);
    assert!(points.iter().map(|point| point.step).eq(0..points.len() as i64), "without gap, each once");
    assert_eq!(store.run(&run_id).unwrap().info.status, RunStatus::Running);
}
