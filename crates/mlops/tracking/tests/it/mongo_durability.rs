//! MongoDB servers that are killed, databases of others, and batches whose writer died half-way.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use fulmen_tracking::{
    ErrorKind, HistoryQuery, JournalBatch, Metric, MongoError, MongoStore, NewRun, RunBatch, Tag,
    TrackingError, TrackingStore, open,
};
use fulmen_utils::testing::skipped;
use mongodb::{
    bson::{Document, doc},
    sync::Client,
};

use crate::{mongo::new_database, services};

const WRITERS: i64 = 8;
const BATCH: i64 = 500;

fn store(uri: &str) -> MongoStore {
    MongoStore::open_with_artifact_root(uri, "/artifacts").unwrap()
}

fn new_run(store: &dyn TrackingStore) -> String {
    store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap().info.run_id
}

fn points(writer: i64, batch: i64) -> RunBatch {
    let steps = batch * BATCH..(batch + 1) * BATCH;
    let metrics = steps.map(|step| Metric { timestamp: 1, ..Metric::at_step("m", writer as f64, step) });
    RunBatch { metrics: metrics.collect(), ..RunBatch::default() }
}

fn history(store: &dyn TrackingStore, run_id: &str) -> Vec<Metric> {
    let mut query = HistoryQuery { run_id: run_id.into(), key: "m".into(), ..HistoryQuery::default() };
    let mut all = Vec::new();
    loop {
        let page = store.metric_history(&query).unwrap();
        all.extend(page.items);
        query.page_token = page.next_page_token;
        if query.page_token.is_none() {
            return all;
        }
    }
}

/// Eight writers, half of them in one run; the server is killed and started again in the middle of it. Each writer goes on
/// with the batch that failed, as the recorder does.
#[test]
fn a_server_that_is_killed_in_the_load_loses_and_doubles_nothing_acknowledged() {
    let Some(server) = services::own_mongodb() else { return skipped(services::NO_MONGODB) };
    let uri = format!("mongodb://127.0.0.1:{}/load", server.port);
    let batches = services::load(16_000) / WRITERS / BATCH;
    let shared = new_run(&store(&uri));
    let own: Vec<String> = (0..WRITERS).map(|_| new_run(&store(&uri))).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let write = |writer: i64| {
            let (uri, shared, own) = (&uri, &shared, &own);
            move || {
                let store = store(uri);
                let run_id = if writer % 2 == 0 { shared } else { &own[writer as usize] };
                for batch in 0..batches {
                    let mut tries = 0;
                    while let Err(error) = store.log_batch(run_id, &points(writer, batch)) {
                        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                        tries += 1;
                        assert!(tries < 600, "{error:?}");
                        thread::sleep(Duration::from_millis(100));
                    }
                }
            }
        };
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(write(writer))).collect();
        let is_over = &is_over;
        let server = &server;
        let killer = scope.spawn(move || {
            for pause in [700, 2100, 3300] {
                thread::sleep(Duration::from_millis(pause));
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                server.kill();
                server.restart();
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        killer.join().unwrap();
    });
    let reader = store(&uri);
    let in_shared = history(&reader, &shared);
    let distinct: HashSet<_> = in_shared.iter().map(|point| (point.step, point.value.to_bits())).collect();
    assert_eq!(
        (in_shared.len(), distinct.len()),
        ((WRITERS / 2 * batches * BATCH) as usize, in_shared.len())
    );
    for (writer, run_id) in own.iter().enumerate().filter(|(writer, _)| writer % 2 == 1) {
        let steps: Vec<i64> = history(&reader, run_id).iter().map(|point| point.step).collect();
        assert_eq!(steps, (0..batches * BATCH).collect::<Vec<_>>(), "writer {writer}");
    }
    let latest = &reader.run(&shared).unwrap().data.metrics[0];
    assert_eq!((latest.step, latest.value), (batches * BATCH - 1, (WRITERS - 2) as f64));
}

/// The state between the two steps of a batch: it is in its run's document, and its points are not in their collection.
#[test]
fn a_batch_whose_writer_died_half_way_is_there_whole_and_once() {
    let Some(uri) = new_database() else { return };
    let store = store(&uri);
    let run_id = new_run(&store);
    let records = |after, last| JournalBatch {
        journal_id: "j".into(),
        after,
        last,
        batch: points(1, last as i64),
        finish: None,
    };
    store.log_journal(&run_id, &records(0, 1)).unwrap();
    let database = Client::with_uri_str(&uri).unwrap().default_database().unwrap();
    let runs = database.collection::<Document>("runs");
    let all = database.collection::<Document>("points");
    // A batch that waits, taken from a run whose points cannot be written.
    let fail = doc! { "collMod": "points", "validator": { "never": { "$exists": true } } };
    let restore = doc! { "collMod": "points", "validator": {} };
    if let Err(error) = database.run_command(fail).run() {
        return skipped(&format!("this server has no validators to make a write fail with: {error}"));
    }
    store.log_journal(&run_id, &records(1, 2)).unwrap_err();
    assert_eq!(
        all.count_documents(doc! {}).run().unwrap(),
        1,
        "the points of the first batch only, in their block"
    );
    let waiting = runs.find_one(doc! { "_id": &run_id, "pending.0": { "$exists": true } }).run().unwrap();
    assert!(waiting.is_some());
    database.run_command(restore).run().unwrap();

    // It counts as stored: the position has moved with it, and whoever reads finds it.
    assert_eq!(store.journal_position(&run_id, "j").unwrap(), 2);
    assert!(matches!(
        store.log_journal(&run_id, &records(1, 2)),
        Err(TrackingError::JournalOrder { position: 2, .. })
    ));
    assert_eq!(history(&MongoStore::open(&uri).unwrap(), &run_id).len(), 2 * BATCH as usize);
    let waiting = runs.find_one(doc! { "_id": &run_id, "pending.0": { "$exists": true } }).run().unwrap();
    assert!(waiting.is_none(), "what was settled waits no longer");
    store.log_journal(&run_id, &records(2, 3)).unwrap();
    assert_eq!(history(&store, &run_id).len(), 3 * BATCH as usize);
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let Some(uri) = new_database() else { return };
    new_run(&store(&uri));
    let database = Client::with_uri_str(&uri).unwrap().default_database().unwrap();
    let about = database.collection::<Document>("about");
    about.update_one(doc! { "_id": "fulmen" }, doc! { "$set": { "version": 99_i64 } }).run().unwrap();
    let error = store(&uri).experiment("0").unwrap_err();
    assert!(matches!(error, TrackingError::Mongo(MongoError::Newer { found: 99, .. })), "{error:?}");
    assert!(error.to_string().contains("update Fulmen"), "{error}");
}

#[test]
fn a_database_whose_points_are_not_in_blocks_is_refused_and_left_alone() {
    let Some(uri) = new_database() else { return };
    new_run(&store(&uri));
    let database = Client::with_uri_str(&uri).unwrap().default_database().unwrap();
    let about = database.collection::<Document>("about");
    about.update_one(doc! { "_id": "fulmen" }, doc! { "$set": { "version": 1_i64 } }).run().unwrap();
    let error = store(&uri).experiment("0").unwrap_err();
    assert!(matches!(error, TrackingError::Mongo(MongoError::Older { found: 1, .. })), "{error:?}");
    assert!(error.to_string().contains("name another database"), "{error}");
    assert_eq!(about.find_one(doc! {}).run().unwrap().unwrap().get_i64("version").unwrap(), 1);
}

/// A document cannot hold more; what is there already stays readable, and can be written on with less.
#[test]
fn a_run_that_outgrows_a_document_is_told_so_and_keeps_what_it_has() {
    let Some(uri) = new_database() else { return };
    let store = store(&uri);
    let run_id = new_run(&store);
    let tags = |from: usize| RunBatch {
        tags: (from..from + 100).map(|number| Tag::new(format!("t{number}"), "x".repeat(8000))).collect(),
        ..RunBatch::default()
    };
    let refused = (0..30)
        .find_map(|batch| store.log_batch(&run_id, &tags(batch * 100)).err().map(|error| (batch, error)));
    let (batches, error) = refused.expect("30 such batches are 24 MB");
    assert!(matches!(error, TrackingError::Mongo(MongoError::TooLarge { .. })), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::InvalidParameter);
    assert!(error.to_string().contains("16 MiB"), "{error}");
    assert_eq!(store.run(&run_id).unwrap().data.tags.len(), batches * 100 + 1, "and its name");
    store.log_batch(&run_id, &points(1, 5)).unwrap();
    assert_eq!(history(&store, &run_id).len(), BATCH as usize);
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    let Some(uri) = new_database() else { return };
    let database = Client::with_uri_str(&uri).unwrap().default_database().unwrap();
    database.collection::<Document>("orders").insert_one(doc! { "_id": 1 }).run().unwrap();
    let error = store(&uri).experiment("0").unwrap_err();
    assert!(matches!(error, TrackingError::Mongo(MongoError::Foreign { .. })), "{error:?}");
    assert_eq!(database.list_collection_names().run().unwrap(), ["orders"]);
}

#[test]
fn many_processes_may_prepare_a_database_at_once() {
    let Some(uri) = new_database() else { return };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| new_run(&store(&uri)))).collect();
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    });
    let search = fulmen_tracking::SearchRuns { experiment_ids: vec!["0".into()], ..Default::default() };
    assert_eq!(store(&uri).search_runs(&search).unwrap().items.len(), 8);
}

#[test]
fn a_server_that_is_down_is_reported_with_the_way_out_and_without_the_password() {
    let store: Arc<_> = open("mongodb://ada:geheim@127.0.0.1:1/db?serverSelectionTimeoutMS=200").unwrap();
    let error = store.experiment("0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        "mongodb://127.0.0.1:1/db: no MongoDB server answers; start it, or check host and port"
    );
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        assert!(!error.to_string().contains("geheim"), "{error}");
        cause = error.source();
    }
}
