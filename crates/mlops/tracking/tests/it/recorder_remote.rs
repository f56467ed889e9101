//! The recorder and MLflow's own server: down at the start, failing, slow, losing answers, killed and started again.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use fulmen_tracking::{
    DeliveryReport, HistoryQuery, Metric, NewRun, Param, RecorderOptions, RemoteStore, RunRecorder,
    RunStatus, Tag, TrackingStore, sync,
};
use fulmen_utils::testing::skipped;

use crate::{
    proxy::{Fate, Proxy},
    remote::mlflow,
    services,
};

fn store(port: u16) -> Arc<dyn TrackingStore> {
    Arc::new(RemoteStore::open(&format!("http://127.0.0.1:{port}")).unwrap())
}

fn new_run(store: &dyn TrackingStore) -> String {
    store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap().info.run_id
}

fn record(
    store: &Arc<dyn TrackingStore>,
    journal: &Path,
    run_id: &str,
    steps: std::ops::Range<i64>,
) -> RunRecorder {
    let options = RecorderOptions { finish_timeout: Duration::from_secs(1), ..RecorderOptions::default() };
    let recorder = RunRecorder::start_with(Arc::clone(store), journal, run_id, options).unwrap();
    recorder.log_params(&[Param::new("lr", "0.1")]).unwrap();
    recorder.set_tags(&[Tag::new("stage", "training")]).unwrap();
    for step in steps {
        recorder
            .log_metrics(&[Metric {
                timestamp: step,
                ..Metric::at_step("loss", 1.0 / (step + 1) as f64, step)
            }])
            .unwrap();
    }
    recorder
}

/// Delivers what is left, as often as the journal is still in use by a sender that was given up.
fn sync_all(journal: &Path, store: &dyn TrackingStore) -> DeliveryReport {
    for _ in 0..600 {
        match sync(journal, store) {
            Ok(report) => return report,
            Err(error)
                if error.to_string().contains("in use")
                    || error.kind() == fulmen_tracking::ErrorKind::Unavailable =>
            {
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the journal stays in use");
}

#[track_caller]
fn everything_is_there_once(store: &dyn TrackingStore, run_id: &str, count: i64) {
    let query = HistoryQuery { run_id: run_id.into(), key: "loss".into(), ..HistoryQuery::default() };
    let steps: Vec<i64> =
        store.metric_history(&query).unwrap().items.iter().map(|metric| metric.step).collect();
    assert_eq!(steps, (0..count).collect::<Vec<_>>());
    let run = store.run(run_id).unwrap();
    assert_eq!(run.info.status, RunStatus::Finished);
    assert_eq!(run.data.params, [Param::new("lr", "0.1")]);
    assert!(run.data.tags.contains(&Tag::new("stage", "training")));
    assert!(run.data.tags.iter().all(|tag| !tag.key.starts_with("fulmen.")), "{:?}", run.data.tags);
}

#[test]
fn a_server_that_answers_500_costs_only_the_delay() {
    let Some(server) = mlflow() else { return };
    let run_id = new_run(store(server.port).as_ref());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("run.journal");
    let proxy = Proxy::start(server.port, |_| Fate::Answer(500));
    let through = store(proxy.port);
    let recorder = record(&through, &journal, &run_id, 0..300);
    while recorder.last_error().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(recorder.last_error().unwrap().contains("told to fail"));
    let report = recorder.finish(RunStatus::Finished).unwrap();
    assert_eq!((report.delivered, report.pending), (0, 303));
    proxy.judge_by(|_| Fate::Pass);
    assert_eq!(sync_all(&journal, through.as_ref()).delivered, 303);
    everything_is_there_once(through.as_ref(), &run_id, 300);
}

#[test]
fn answers_that_are_lost_and_requests_that_die_double_nothing() {
    let Some(server) = mlflow() else { return };
    let run_id = new_run(store(server.port).as_ref());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("run.journal");
    let number = AtomicU32::new(0);
    let proxy = Proxy::start(server.port, move |_| match number.fetch_add(1, Ordering::Relaxed) % 4 {
        0 => Fate::LoseAnswer,
        1 => Fate::Refuse,
        2 => Fate::Slow(300),
        _ => Fate::Pass,
    });
    let through = store(proxy.port);
    let report = record(&through, &journal, &run_id, 0..2500).finish(RunStatus::Finished).unwrap();
    if report.pending > 0 {
        sync_all(&journal, through.as_ref());
    }
    everything_is_there_once(store(server.port).as_ref(), &run_id, 2500);
}

#[test]
fn a_sender_that_dies_between_records_and_position_delivers_them_again_and_they_are_stored_once() {
    let Some(server) = mlflow() else { return };
    let direct = store(server.port);
    let run_id = new_run(direct.as_ref());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("run.journal");
    // The position never arrives.
    let proxy = Proxy::start(server.port, |request| {
        if request.contains("fulmen.journal.") { Fate::Refuse } else { Fate::Pass }
    });
    let recorder = record(&store(proxy.port), &journal, &run_id, 0..700);
    let query = HistoryQuery { run_id: run_id.clone(), key: "loss".into(), ..HistoryQuery::default() };
    let begin = std::time::Instant::now();
    while direct.metric_history(&query).unwrap().items.len() < 700 {
        assert!(begin.elapsed() < Duration::from_secs(120), "the records do not arrive");
        std::thread::sleep(Duration::from_millis(100));
    }
    let report = recorder.finish(RunStatus::Finished).unwrap();
    assert_eq!((report.delivered, report.pending), (0, 703));
    // Another process, which knows only what the server says.
    assert_eq!(sync_all(&journal, store(server.port).as_ref()).delivered, 703);
    everything_is_there_once(direct.as_ref(), &run_id, 700);
}

#[test]
fn a_server_that_is_down_at_first_and_killed_in_the_middle_gets_everything_in_the_end() {
    let Some(server) = services::own_mlflow() else { return skipped(services::NO_MLFLOW) };
    let run_id = new_run(store(server.port).as_ref());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("run.journal");
    server.kill();
    let remote = store(server.port);
    let recorder = record(&remote, &journal, &run_id, 0..100);
    assert!(recorder.pending() > 0);
    server.restart();
    server.wait_until_healthy();
    for step in 100..6000 {
        recorder
            .log_metrics(&[Metric {
                timestamp: step,
                ..Metric::at_step("loss", 1.0 / (step + 1) as f64, step)
            }])
            .unwrap();
        if step % 100 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        if step == 3000 {
            // In the middle of the load, wherever it is.
            server.kill();
        }
    }
    let report = recorder.finish(RunStatus::Finished).unwrap();
    server.restart();
    server.wait_until_healthy();
    if report.pending > 0 {
        sync_all(&journal, remote.as_ref());
    }
    everything_is_there_once(remote.as_ref(), &run_id, 6000);
}
