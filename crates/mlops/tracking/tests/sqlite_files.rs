//! What the SQLite store makes of files that are damaged, foreign, newer, locked or out of reach.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fulmen_storage::ArtifactStore;
use fulmen_tracking::{
    DatabaseError, ErrorKind, LineageStore, ModelRegistry, NewExperiment, NewRegisteredModel, NewRun,
    RunBatch, RunInputs, SqliteStore, Tag, TrackingError, TrackingStore, gc, open,
};
use rusqlite::Connection;

struct Folder(tempfile::TempDir);

fn folder() -> Folder {
    Folder(tempfile::tempdir().unwrap())
}

impl Folder {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn database(&self) -> PathBuf {
        self.path().join("fulmen.db")
    }
}

#[track_caller]
fn database_error(path: &Path) -> DatabaseError {
    match SqliteStore::open(path) {
        Err(TrackingError::Database(error)) => {
            assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
            error
        }
        other => panic!("{other:?}"),
    }
}

fn new_run(store: &dyn TrackingStore) -> String {
    store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap().info.run_id
}

#[test]
fn a_uri_opens_a_database_in_a_new_folder_and_finds_it_again() {
    let folder = folder();
    let uri = format!("sqlite:///{}", folder.path().join("deep/er/fulmen.db").display());
    let run_id = new_run(open(&uri).unwrap().as_ref());
    let store = open(&uri).unwrap();
    assert_eq!(store.uri(), uri);
    let expected = folder.path().join(format!("deep/er/mlartifacts/0/{run_id}/artifacts"));
    assert_eq!(PathBuf::from(store.run(&run_id).unwrap().info.artifact_uri), expected);
    let connection = Connection::open(folder.path().join("deep/er/fulmen.db")).unwrap();
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn an_artifact_root_may_be_a_uri() {
    let folder = folder();
    let store = SqliteStore::open_with_artifact_root(&folder.database(), "mlflow-artifacts:/").unwrap();
    let run_id = new_run(&store);
    assert_eq!(store.experiment("0").unwrap().artifact_location, "mlflow-artifacts:/0");
    assert_eq!(
        store.run(&run_id).unwrap().info.artifact_uri,
        format!("mlflow-artifacts:/0/{run_id}/artifacts")
    );
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = folder();
    let text = "some notes, long enough to be no empty file\n".repeat(100);
    fs::write(folder.database(), &text).unwrap();
    assert!(matches!(database_error(&folder.database()), DatabaseError::NotADatabase { .. }));
    assert_eq!(fs::read_to_string(folder.database()).unwrap(), text);
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    let folder = folder();
    let connection = Connection::open(folder.database()).unwrap();
    connection
        .execute_batch("CREATE TABLE experiments (experiment_id INTEGER); PRAGMA user_version = 1")
        .unwrap();
    drop(connection);
    let before = fs::read(folder.database()).unwrap();
    assert!(matches!(database_error(&folder.database()), DatabaseError::Foreign { .. }));
    assert_eq!(fs::read(folder.database()).unwrap(), before);
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let folder = folder();
    SqliteStore::open(&folder.database()).unwrap();
    Connection::open(folder.database()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = database_error(&folder.database());
    assert!(matches!(error, DatabaseError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("update Fulmen"), "{error}");
}

#[test]
fn a_damaged_database_is_reported_and_never_a_panic() {
    let folder = folder();
    let store = SqliteStore::open(&folder.database()).unwrap();
    let tags = (0..100).map(|number| Tag::new(format!("t{number}"), "x".repeat(2000))).collect();
    let run_id = new_run(&store);
    store.log_batch(&run_id, &RunBatch { tags, ..RunBatch::default() }).unwrap();
    drop(store);
    let mut bytes = fs::read(folder.database()).unwrap();
    // The header stays; every page behind it is noise.
    for (index, byte) in bytes.iter_mut().enumerate().skip(4096) {
        *byte = (index * 31 % 251) as u8;
    }
    fs::write(folder.database(), bytes).unwrap();
    let error = SqliteStore::open(&folder.database()).and_then(|store| store.run(&run_id)).unwrap_err();
    assert!(matches!(error, TrackingError::Database(DatabaseError::Damaged { .. })), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Broken);
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_out_of_reach_is_reported_with_the_way_out() {
    // Not even the superuser may create files there.
    let error = database_error(Path::new("/sys/fulmen-no-such-folder/fulmen.db"));
    assert!(matches!(error, DatabaseError::Unwritable { .. }), "{error:?}");
    assert!(error.to_string().contains("make the file and its folder writable"), "{error}");
    let error = database_error(Path::new("/sys/fulmen.db"));
    assert!(matches!(error, DatabaseError::Unwritable { .. }), "{error:?}");
}

#[test]
fn a_folder_in_place_of_the_file_is_reported() {
    let folder = folder();
    assert!(matches!(database_error(folder.path()), DatabaseError::Unwritable { .. }));
}

#[test]
fn many_processes_may_create_the_database_at_once() {
    let folder = folder();
    let database = folder.database();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| new_run(&SqliteStore::open(&database).unwrap()))).collect();
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    });
    let store = SqliteStore::open(&database).unwrap();
    let search = fulmen_tracking::SearchRuns { experiment_ids: vec!["0".into()], ..Default::default() };
    assert_eq!(store.search_runs(&search).unwrap().items.len(), 8);
}

#[test]
fn collection_removes_deleted_runs_with_their_artifacts_and_nothing_else() {
    let folder = folder();
    let store: Arc<dyn TrackingStore> = Arc::new(SqliteStore::open(&folder.database()).unwrap());
    let (kept, deleted) = (new_run(store.as_ref()), new_run(store.as_ref()));
    let artifacts = |run_id: &str| ArtifactStore::new(store.run(run_id).unwrap().info.artifact_uri);
    let (kept_artifacts, deleted_artifacts) = (artifacts(&kept), artifacts(&deleted));
    kept_artifacts.put_bytes("model/a", b"1").unwrap();
    deleted_artifacts.put_bytes("model/a", b"1").unwrap();
    fs::write(deleted_artifacts.local().unwrap().root().with_file_name("worker.log"), "log").unwrap();
    let remote = NewExperiment {
        name: "remote".into(),
        artifact_location: Some("s3://bucket/x".into()),
        tags: vec![],
    };
    let experiment_id = store.create_experiment(&remote).unwrap().experiment_id;
    store.create_run(&NewRun { experiment_id: experiment_id.clone(), ..NewRun::default() }).unwrap();
    store.delete_run(&deleted).unwrap();
    store.delete_experiment(&experiment_id).unwrap();

    assert_eq!(gc(store.as_ref(), Duration::from_secs(3600)).unwrap(), Default::default());
    let report = gc(store.as_ref(), Duration::ZERO).unwrap();
    assert_eq!(
        (report.runs.len(), &report.experiments, report.remote_artifacts.len()),
        (2, &vec![experiment_id], 1)
    );
    assert_eq!(store.run(&deleted).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!deleted_artifacts.local().unwrap().root().parent().unwrap().exists());
    assert_eq!(kept_artifacts.files().unwrap().len(), 1);
    assert!(store.run(&kept).is_ok());
}

#[test]
fn a_database_of_an_older_program_is_brought_up_to_date_with_what_it_holds() {
    let folder = folder();
    let connection = Connection::open(folder.database()).unwrap();
    connection.execute_batch(include_str!("../src/sqlite/migrations/0001_initial.sql")).unwrap();
    connection
        .execute_batch(
            "INSERT INTO experiments VALUES (0, 'Default', NULL, 5, 5, NULL);
             INSERT INTO runs VALUES (1, 'abc', 0, 'old run', 'ada', 'FINISHED', 7, 8, NULL, 0);
             INSERT INTO tags VALUES (1, 'mlflow.runName', 'old run');
             PRAGMA application_id = 0x46554C4D; PRAGMA user_version = 1",
        )
        .unwrap();
    drop(connection);
    let store = SqliteStore::open(&folder.database()).unwrap();
    let run = store.run("abc").unwrap();
    assert_eq!((run.info.run_name.as_str(), run.info.start_time), ("old run", 7));
    let model = NewRegisteredModel { name: "m".into(), ..NewRegisteredModel::default() };
    store.create_registered_model(&model).unwrap();
    let inputs = RunInputs { models: vec!["m-1".into()], datasets: vec![] };
    store.log_inputs("abc", &inputs).unwrap();
    assert_eq!(SqliteStore::open(&folder.database()).unwrap().run("abc").unwrap().inputs, inputs);
}
