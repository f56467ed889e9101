//! The remote store against the rules of every store, on MLflow's own server.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use fulmen_tracking::{
    Axis, ErrorKind, HistoryQuery, Metric, NewRun, RemoteStore, RunBatch, SearchRuns, Store, Tag,
    TrackingStore as _, conformance::StoreFixture,
};
use fulmen_utils::testing::skipped;
use rusqlite::Connection;

use crate::services;

/// What MLflow's server (3.17 on SQLite) does otherwise, and why.
const NOT_KEPT: &[(&str, &str)] = &[
    (
        "experiments::deletion_hides_and_restoring_brings_back",
        "restoring an experiment restores all its runs",
    ),
    ("experiments::names_and_values_that_look_like_code_mean_themselves", NO_DOUBLED_QUOTES),
    ("lineage::purging_takes_the_inputs_along", NO_PURGE),
    ("logged_models::a_deleted_model_is_hidden", "there is no request for deleted logged models"),
    (
        "logged_models::searches_filter_order_and_page",
        "filters know the status of a logged model as a number",
    ),
    (
        "logged_models::the_latest_point_of_each_dataset_is_kept",
        "a metric has one point for a model, time and step, whatever the dataset",
    ),
    ("metrics::nan_and_infinities_are_kept", "an infinity is kept as the largest finite number"),
    ("metrics::the_axis_is_kept", "a metric has one axis here, in a tag of its run"),
    (
        "registry::version_numbers_are_never_used_again",
        "there is no field for where a version's files can be read",
    ),
    ("registry_search::quotes_in_names_and_values_mean_themselves", NO_DOUBLED_QUOTES),
    ("runs::a_deleted_run_refuses_writes_until_restored", "the time of a deletion is not told"),
    ("runs::purging_needs_deletion_and_is_final", NO_PURGE),
    ("search::filters_select_the_runs_they_describe", "params know no IN"),
    ("search::new_runs_do_not_shift_pages", "page tokens are offsets"),
    ("search::quotes_and_signs_in_values_mean_themselves", NO_DOUBLED_QUOTES),
    ("search::what_lacks_the_key_comes_last", "NaN comes before what lacks the metric"),
];
const NO_PURGE: &str = "there is no request to remove a run for good";
const NO_DOUBLED_QUOTES: &str = "in a filter a doubled quote does not stand for one";

/// The one server of these tests; who holds it has it to itself, and it is empty.
pub(crate) struct Mlflow {
    pub(crate) port: u16,
    database: PathBuf,
}

/// The server, emptied; `None` where there is none.
pub(crate) fn mlflow() -> Option<MutexGuard<'static, Mlflow>> {
    static SERVER: OnceLock<Option<Mutex<Mlflow>>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let server = services::own_mlflow()?;
        let mlflow = Mlflow { port: server.port, database: server.folder().join("mlflow.db") };
        services::at_exit(server);
        Some(Mutex::new(mlflow))
    });
    let Some(server) = server else {
        skipped(services::NO_MLFLOW);
        return None;
    };
    // A test that failed leaves nothing half-done that the next one would not remove.
    let server = server.lock().unwrap_or_else(PoisonError::into_inner);
    server.empty();
    Some(server)
}

impl Mlflow {
    pub(crate) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Removes all but the experiment `Default`, in the server's database: to start a server for each test would take minutes.
    fn empty(&self) {
        let connection = Connection::open(&self.database).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        let tables: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'alembic%' AND name <> 'workspaces'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let mut sql = String::from("BEGIN IMMEDIATE;\n");
        for table in tables {
            let condition = if table == "experiments" { " WHERE experiment_id <> 0" } else { "" };
            sql.push_str(&format!("DELETE FROM \"{table}\"{condition};\n"));
        }
        sql.push_str("UPDATE experiments SET lifecycle_stage = 'active', name = 'Default'; COMMIT;");
        connection.execute_batch(&sql).unwrap();
    }
}

struct Fixture(MutexGuard<'static, Mlflow>);

impl StoreFixture for Fixture {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(RemoteStore::open(&self.0.uri()).unwrap())
    }

    fn skips(&self, case: &str) -> bool {
        let reason = NOT_KEPT.iter().find(|(known, _)| *known == case);
        if let Some((_, reason)) = reason {
            skipped(&format!("MLflow's server does otherwise: {reason}"));
        }
        reason.is_some()
    }
}

fn fixture() -> Option<Fixture> {
    mlflow().map(Fixture)
}

fulmen_tracking::tracking_store_conformance!(fixture);

fn new_run(store: &RemoteStore) -> String {
    store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap().info.run_id
}

#[test]
fn the_axis_of_a_metric_is_kept_in_a_tag_that_nobody_sees() {
    let Some(server) = mlflow() else { return };
    let store = RemoteStore::open(&server.uri()).unwrap();
    let run_id = new_run(&store);
    let epoch = |step| Metric { axis: Axis::Epoch, timestamp: 1, ..Metric::at_step("val/acc", 0.5, step) };
    let metrics = vec![epoch(1), Metric { timestamp: 1, ..Metric::at_step("loss", 1.0, 1) }];
    store.log_batch(&run_id, &RunBatch { metrics, ..RunBatch::default() }).unwrap();
    store.log_batch(&run_id, &RunBatch { metrics: vec![epoch(2)], ..RunBatch::default() }).unwrap();
    // Another process, which has told no axis.
    let reader = RemoteStore::open(&server.uri()).unwrap();
    let query = HistoryQuery { run_id: run_id.clone(), key: "val/acc".into(), ..HistoryQuery::default() };
    assert_eq!(reader.metric_history(&query).unwrap().items, [epoch(1), epoch(2)]);
    let run = reader.run(&run_id).unwrap();
    let axes: Vec<(&str, Axis)> =
        run.data.metrics.iter().map(|metric| (metric.key.as_str(), metric.axis)).collect();
    assert_eq!(axes, [("loss", Axis::Step), ("val/acc", Axis::Epoch)]);
    assert_eq!(run.data.tags, [Tag::new("mlflow.runName", run.info.run_name.as_str())]);
    let search = SearchRuns { experiment_ids: vec!["0".into()], ..SearchRuns::default() };
    assert_eq!(reader.search_runs(&search).unwrap().items, [run]);
}

#[test]
fn filters_reach_the_server_as_they_are() {
    let Some(server) = mlflow() else { return };
    let store = RemoteStore::open(&server.uri()).unwrap();
    let (first, second) = (new_run(&store), new_run(&store));
    for (run_id, loss, optimizer) in [(&first, 0.5, "Adam"), (&second, 1.5, "sgd & more?")] {
        let batch = RunBatch {
            metrics: vec![Metric::at_step("train/loss", loss, 1)],
            tags: vec![Tag::new("opt", optimizer)],
            ..RunBatch::default()
        };
        store.log_batch(run_id, &batch).unwrap();
    }
    for (filter, found) in [
        ("metrics.\"train/loss\" < 1", vec![&first]),
        ("tags.opt = 'sgd & more?'", vec![&second]),
        ("tags.opt LIKE 'a%'", vec![]),
        ("tags.opt ILIKE 'a%' and attributes.status = 'RUNNING'", vec![&first]),
    ] {
        let search =
            SearchRuns { experiment_ids: vec!["0".into()], filter: filter.into(), ..SearchRuns::default() };
        let runs = store.search_runs(&search).unwrap().items;
        assert_eq!(runs.iter().map(|run| &run.info.run_id).collect::<Vec<_>>(), found, "{filter}");
    }
}

#[test]
fn what_is_deleted_refuses_writes_until_it_is_restored() {
    let Some(server) = mlflow() else { return };
    let store = RemoteStore::open(&server.uri()).unwrap();
    let run_id = new_run(&store);
    let batch = RunBatch { tags: vec![Tag::new("t", "1")], ..RunBatch::default() };
    store.delete_run(&run_id).unwrap();
    for error in [store.delete_run(&run_id), store.log_batch(&run_id, &batch), store.delete_tag(&run_id, "t")]
    {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidState);
    }
    store.restore_run(&run_id).unwrap();
    assert_eq!(store.restore_run(&run_id).unwrap_err().kind(), ErrorKind::InvalidParameter);
    store.log_batch(&run_id, &batch).unwrap();
    let error = store.purge_run(&run_id).unwrap_err();
    assert!(error.to_string().contains("mlflow gc"), "{error}");
}
