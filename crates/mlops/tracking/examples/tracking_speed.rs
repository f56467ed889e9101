//! Measures a store: ingest, history and search over 10,000 runs. Each figure is the median of five turns.
//!
//! `cargo run --release -p fulmen-tracking --example tracking_speed -- [folder | URI]`: SQLite in a folder, which decides which
//! disk is measured, or the store that a URI names, in which it leaves its runs.

use std::{error::Error, io::Write as _, path::PathBuf, sync::Arc, time::Instant};

use fulmen_tracking::{
    HistoryQuery, Metric, NewExperiment, NewRun, Param, RunBatch, RunRecorder, RunStatus, SearchRuns,
    SqliteStore, Tag, TrackingError, TrackingStore, now_ms, open,
};

const RUNS: usize = 10_000;
const TURNS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let uri = place.to_str().filter(|place| place.contains("://"));
    let parent = if uri.is_some() { std::env::temp_dir() } else { place.clone() };
    let folder = tempfile::Builder::new().prefix("tracking-speed-").tempdir_in(parent)?;
    let store: Arc<dyn TrackingStore> = match uri {
        Some(uri) => open(uri)?,
        None => Arc::new(SqliteStore::open(&folder.path().join("fulmen.db"))?),
    };
    let store = &store;
    let new_run = || {
        store
            .create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() })
            .map(|run| run.info.run_id)
    };
    let points = |from: i64, count: i64| -> Vec<Metric> {
        (from..from + count)
            .map(|step| Metric { timestamp: step, ..Metric::at_step("loss", 1.0 / step as f64, step) })
            .collect()
    };
    let batch = |from, count| RunBatch { metrics: points(from, count), ..RunBatch::default() };

    let run_id = new_run()?;
    let mut from = 1;
    report("log_batch, 1000 points", "points/s", || {
        let begin = Instant::now();
        for _ in 0..20 {
            store.log_batch(&run_id, &batch(from, 1000))?;
            from += 1000;
        }
        Ok(20_000.0 / begin.elapsed().as_secs_f64())
    })?;
    let query = HistoryQuery { run_id, key: "loss".into(), ..HistoryQuery::default() };
    report("history of 100,000 points", "ms", || {
        let begin = Instant::now();
        let (mut query, mut count) = (query.clone(), 0);
        loop {
            let page = store.metric_history(&query)?;
            count += page.items.len();
            query.page_token = page.next_page_token;
            if query.page_token.is_none() {
                break;
            }
        }
        assert_eq!(count, 100_000);
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    })?;
    let run_id = new_run()?;
    let mut step = 0;
    report("log_batch, 1 point", "points/s", || {
        let begin = Instant::now();
        for _ in 0..200 {
            step += 1;
            store.log_batch(&run_id, &batch(step, 1))?;
        }
        Ok(200.0 / begin.elapsed().as_secs_f64())
    })?;
    report("8 threads, log_batch, 1000 points", "points/s", || {
        let runs = (0..8).map(|_| new_run()).collect::<Result<Vec<_>, _>>()?;
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (runs.iter())
                .map(|run_id| {
                    scope.spawn(move || {
                        (0..5).try_for_each(|part| store.log_batch(run_id, &batch(1 + part * 1000, 1000)))
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
        })?;
        Ok(40_000.0 / begin.elapsed().as_secs_f64())
    })?;
    report("recorder, call of 1 point", "µs", || {
        let recorder =
            RunRecorder::start(Arc::clone(store), &folder.path().join("run.journal"), &new_run()?)?;
        let begin = Instant::now();
        for point in points(1, 10_000) {
            recorder.log_metrics(std::slice::from_ref(&point))?;
        }
        let elapsed = begin.elapsed();
        recorder.finish(RunStatus::Finished)?;
        Ok(elapsed.as_secs_f64() * 1e6 / 10_000.0)
    })?;
    report("recorder, 100,000 calls of 1 point until delivered", "points/s", || {
        let recorder =
            RunRecorder::start(Arc::clone(store), &folder.path().join("run.journal"), &new_run()?)?;
        let begin = Instant::now();
        for point in points(1, 100_000) {
            recorder.log_metrics(std::slice::from_ref(&point))?;
        }
        let report = recorder.finish(RunStatus::Finished)?;
        assert_eq!((report.pending, report.delivered), (0, 100_001));
        Ok(100_000.0 / begin.elapsed().as_secs_f64())
    })?;

    let searched = store.create_experiment(&NewExperiment {
        name: format!("searched-{}", now_ms()),
        ..NewExperiment::default()
    })?;
    for number in 0..RUNS {
        fill(store.as_ref(), &searched.experiment_id, number)?;
    }
    let base = SearchRuns {
        experiment_ids: vec![searched.experiment_id],
        max_results: Some(100),
        ..SearchRuns::default()
    };
    let by_metric = SearchRuns {
        filter: "metrics.m0 > 0.5 and params.p1 = '3'".into(),
        order_by: vec!["metrics.m1 DESC".into()],
        ..base.clone()
    };
    let by_tag = SearchRuns {
        filter: "tags.t0 LIKE '%7%'".into(),
        order_by: vec!["params.p0 ASC".into()],
        ..base.clone()
    };
    for (what, search) in [
        ("search 10,000 runs, filter and order, first 100", by_metric.clone()),
        (
            "search 10,000 runs, filter and order, first 1000",
            SearchRuns { max_results: Some(1000), ..by_metric },
        ),
        ("search 10,000 runs, no filter, first 100", base),
        ("search 10,000 runs, tag LIKE, order by param, first 100", by_tag),
    ] {
        report(what, "ms", || {
            let begin = Instant::now();
            let page = store.search_runs(&search)?;
            assert!(page.items.len() >= 100);
            Ok(begin.elapsed().as_secs_f64() * 1e3)
        })?;
    }
    Ok(())
}

/// A run with 5 metrics, 5 params and 2 tags.
fn fill(store: &dyn TrackingStore, experiment_id: &str, number: usize) -> Result<(), TrackingError> {
    let run = store.create_run(&NewRun { experiment_id: experiment_id.to_owned(), ..NewRun::default() })?;
    // Spreads numbers over their range without a generator.
    let spread = |salt: usize| (number * 7919 + salt * 104_729) % 10_007;
    let metrics = (0..5).map(|key| Metric::at_step(format!("m{key}"), spread(key) as f64 / 10_007.0, 1));
    let params = (0..5).map(|key| Param::new(format!("p{key}"), (spread(key + 5) % 5).to_string()));
    let tags = (0..2).map(|key| Tag::new(format!("t{key}"), format!("value {}", spread(key + 10))));
    let batch = RunBatch {
        metrics: metrics.collect(),
        params: params.collect(),
        tags: tags.collect(),
        ..RunBatch::default()
    };
    store.log_batch(&run.info.run_id, &batch)
}

fn report(
    what: &str,
    unit: &str,
    mut turn: impl FnMut() -> Result<f64, TrackingError>,
) -> Result<(), Box<dyn Error>> {
    let mut figures = (0..TURNS).map(|_| turn()).collect::<Result<Vec<_>, _>>()?;
    figures.sort_by(f64::total_cmp);
    let (median, best, worst) = (figures[TURNS / 2], figures[0], figures[TURNS - 1]);
    writeln!(std::io::stdout(), "{what:<60} {median:>12.1} {unit}   ({best:.1} … {worst:.1})")?;
    Ok(())
}
