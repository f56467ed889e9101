//! What the PostgreSQL store makes of servers that are gone, foreign, newer or encrypted.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

use std::{sync::Arc, time::Duration};

use fulmen_tracking::{
    ErrorKind, HistoryQuery, Metric, ModelRegistry, NewExperiment, NewRegisteredModel, NewRun, PostgresError,
    PostgresStore, RunBatch, RunRecorder, RunStatus, Store, Tag, TrackingError, TrackingStore,
    conformance::postgres_server, open,
};
use postgres::{Client, NoTls};

/// A new database, or `None` where there is no server, which is said.
fn database() -> Option<String> {
    postgres_server::new_database().map_err(|why| fulmen_utils::testing::skipped(&why)).ok()
}

fn store(uri: &str) -> PostgresStore {
    PostgresStore::open(uri, "/artifacts").unwrap()
}

fn new_run(store: &dyn TrackingStore) -> String {
    store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap().info.run_id
}

#[track_caller]
fn postgres_error(result: Result<impl std::fmt::Debug, TrackingError>) -> PostgresError {
    match result {
        Err(TrackingError::Postgres(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Ends all connections to a database but the client's own.
fn end_connections(client: &mut Client) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    client.execute(sql, &[]).unwrap();
}

#[test]
fn a_uri_opens_the_database_and_finds_it_again() {
    let Some(uri) = database() else { return };
    let opened: Arc<dyn Store> = open(&uri).unwrap();
    let run_id = new_run(opened.as_ref());
    let again = open(&uri.replacen("postgresql", "postgresql+psycopg2", 1)).unwrap();
    let artifacts = again.run(&run_id).unwrap().info.artifact_uri;
    assert!(artifacts.ends_with(&format!("/mlartifacts/0/{run_id}/artifacts")), "{artifacts}");
}

#[test]
fn many_may_create_the_tables_at_once() {
    let Some(uri) = database() else { return };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| new_run(&store(&uri)))).collect();
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    });
    let search = fulmen_tracking::SearchRuns { experiment_ids: vec!["0".into()], ..Default::default() };
    assert_eq!(store(&uri).search_runs(&search).unwrap().items.len(), 8);
}

#[test]
fn tables_of_another_program_are_refused_and_left_alone() {
    let Some(uri) = database() else { return };
    let mut client = Client::connect(&uri, NoTls).unwrap();
    client.batch_execute("CREATE TABLE experiments (experiment_id INTEGER)").unwrap();
    let error = postgres_error(PostgresStore::open(&uri, "/artifacts"));
    assert!(matches!(error, PostgresError::Foreign { .. }), "{error:?}");
    let tables = client.query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[]).unwrap();
    assert_eq!(tables.get::<_, i64>(0), 1);
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let Some(uri) = database() else { return };
    drop(store(&uri));
    Client::connect(&uri, NoTls).unwrap().batch_execute("UPDATE fulmen_schema SET version = 99").unwrap();
    let error = postgres_error(PostgresStore::open(&uri, "/artifacts"));
    assert!(matches!(error, PostgresError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("update Fulmen"), "{error}");
}

#[test]
fn the_search_path_decides_where_the_tables_are() {
    let Some(uri) = database() else { return };
    let mut client = Client::connect(&uri, NoTls).unwrap();
    client.batch_execute("CREATE SCHEMA team").unwrap();
    let separator = if uri.contains('?') { "&" } else { "?" };
    let team = store(&format!("{uri}{separator}options=-c%20search_path%3Dteam"));
    let run_id = new_run(&team);
    let found = client.query_one("SELECT count(*) FROM team.runs", &[]).unwrap();
    assert_eq!(found.get::<_, i64>(0), 1);
    assert_eq!(store(&uri).run(&run_id).unwrap_err().kind(), ErrorKind::NotFound);
    let nowhere =
        PostgresStore::open(&format!("{uri}{separator}options=-c%20search_path%3Dabsent"), "/artifacts");
    assert!(matches!(postgres_error(nowhere), PostgresError::Refused { .. }));
}

#[test]
fn the_character_nul_is_refused_with_a_reason() {
    let Some(uri) = database() else { return };
    let store = store(&uri);
    let run_id = new_run(&store);
    let tags = vec![Tag::new("t", "before\0after")];
    let search = fulmen_tracking::SearchRuns {
        experiment_ids: vec!["0".into()],
        filter: "run_name IN ('a\0b')".into(),
        ..Default::default()
    };
    for error in [
        store.log_batch(&run_id, &RunBatch { tags, ..RunBatch::default() }).unwrap_err(),
        store.registered_model("a\0b").unwrap_err(),
        store.search_runs(&search).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidParameter, "{error}");
        assert!(error.to_string().contains("NUL"), "{error}");
    }
    // Nothing is left behind in the connection.
    store.create_registered_model(&NewRegisteredModel { name: "m".into(), ..Default::default() }).unwrap();
}

#[test]
fn calls_go_on_after_the_server_has_ended_all_connections() {
    let Some(uri) = database() else { return };
    let (store, mut client) = (store(&uri), Client::connect(&uri, NoTls).unwrap());
    let run_id = new_run(&store);
    for _ in 0..3 {
        end_connections(&mut client);
        assert_eq!(store.run(&run_id).unwrap().info.run_id, run_id);
        store.log_batch(&run_id, &RunBatch::default()).unwrap();
    }
}

#[test]
fn a_recorder_loses_and_doubles_nothing_while_connections_break() {
    let Some(uri) = database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn TrackingStore> = Arc::new(store(&uri));
    let run_id = new_run(store.as_ref());
    let recorder = RunRecorder::start(store.clone(), &folder.path().join("run.journal"), &run_id).unwrap();
    let mut client = Client::connect(&uri, NoTls).unwrap();
    for round in 0..20 {
        for step in 0..500 {
            let step = round * 500 + step;
            recorder.log_metrics(&[Metric { timestamp: 1, ..Metric::at_step("m", 0.5, step) }]).unwrap();
        }
        end_connections(&mut client);
        std::thread::sleep(Duration::from_millis(10));
    }
    let report = recorder.finish(RunStatus::Finished).unwrap();
    assert_eq!((report.pending, report.refused.len()), (0, 0), "{report:?}");
    let query = HistoryQuery { run_id, key: "m".into(), ..HistoryQuery::default() };
    let steps: Vec<i64> =
        store.metric_history(&query).unwrap().items.iter().map(|point| point.step).collect();
    assert_eq!(steps, (0..10_000).collect::<Vec<_>>());
}

#[test]
fn a_server_that_is_not_there_is_unreachable_and_no_password_is_shown() {
    let error = PostgresStore::open("postgresql://ada:secret@127.0.0.1:1/x?connect_timeout=2", "/artifacts");
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains("ada@127.0.0.1:1") && !error.to_string().contains("secret"),
        "{error}"
    );
}

#[test]
fn what_the_server_forbids_is_said_in_its_words() {
    let Some(uri) = database() else { return };
    let (place, _) = uri.rsplit_once('/').unwrap();
    let error = postgres_error(PostgresStore::open(&format!("{place}/no_such_database"), "/artifacts"));
    assert!(matches!(error, PostgresError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("no_such_database"), "{error}");
}

#[test]
fn certificates_are_verified_as_sslmode_asks() {
    let server = match postgres_server::start_encrypted() {
        Ok(server) => server,
        Err(why) => return fulmen_utils::testing::skipped(&why),
    };
    let root = server.root_certificate.display();
    let open = |host: &str, parameters: &str| {
        let uri = server.uri.replace("localhost", host);
        PostgresStore::open(&format!("{uri}?{parameters}"), "/artifacts").map(|store| drop(new_run(&store)))
    };
    for (host, parameters) in [
        ("localhost", "sslmode=disable".to_owned()),
        ("localhost", "sslmode=require".to_owned()),
        ("localhost", format!("sslmode=verify-full&sslrootcert={root}")),
        // The certificate is for `localhost` alone.
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={root}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", String::new()),
    ] {
        open(host, &parameters).unwrap_or_else(|error| panic!("{host} {parameters}: {error}"));
    }
    for (host, parameters) in [
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={root}")),
        ("localhost", "sslmode=verify-full".to_owned()),
        ("localhost", "sslmode=verify-ca&sslrootcert=/no/such/file".to_owned()),
    ] {
        let error = open(host, &parameters).unwrap_err();
        assert!(matches!(error, TrackingError::Postgres(_)), "{host} {parameters}: {error:?}");
    }
    let mut client = Client::connect(&server.uri, NoTls).unwrap();
    let store = PostgresStore::open(&format!("{}?sslmode=require", server.uri), "/artifacts").unwrap();
    let sql = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'fulmen'";
    assert!(client.query_one(sql, &[]).unwrap().get::<_, i64>(0) >= 1);
    drop(store);
}

#[test]
fn purging_leaves_no_points_behind() {
    let Some(uri) = database() else { return };
    let store = store(&uri);
    let points = |value| vec![Metric { timestamp: 1, ..Metric::at_step("m", value, 1) }];
    let experiment = NewExperiment { name: "e".into(), ..NewExperiment::default() };
    let experiment_id = store.create_experiment(&experiment).unwrap().experiment_id;
    let kept = new_run(&store);
    let gone = new_run(&store);
    let with_experiment = NewRun { experiment_id: experiment_id.clone(), ..NewRun::default() };
    let with_experiment = store.create_run(&with_experiment).unwrap().info.run_id;
    for run_id in [&kept, &gone, &with_experiment] {
        store.log_batch(run_id, &RunBatch { metrics: points(1.0), ..RunBatch::default() }).unwrap();
    }
    store.delete_run(&gone).unwrap();
    store.purge_run(&gone).unwrap();
    store.delete_experiment(&experiment_id).unwrap();
    store.purge_experiment(&experiment_id).unwrap();
    let mut client = Client::connect(&uri, NoTls).unwrap();
    let left = client.query_one("SELECT count(*) FROM metrics", &[]).unwrap();
    assert_eq!(left.get::<_, i64>(0), 1);
}
