//! The MongoDB store against the rules of every store.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use fulmen_tracking::{MongoStore, Store, conformance::StoreFixture};
use fulmen_utils::testing::skipped;

use crate::services;

/// A database of its own for each test.
struct Fixture(String);

impl StoreFixture for Fixture {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(MongoStore::open_with_artifact_root(&self.0, "/artifacts").unwrap())
    }
}

/// The URI of a new database on the server that all tests share.
pub(crate) fn new_database() -> Option<String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Some(server) = services::mongodb() else {
        skipped(services::NO_MONGODB);
        return None;
    };
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Some(format!("{}/fulmen_test_{}_{number}", server.trim_end_matches('/'), std::process::id()))
}

fn fixture() -> Option<Fixture> {
    new_database().map(Fixture)
}

fulmen_tracking::tracking_store_conformance!(fixture);

#[test]
#[ignore = "a million points take a while; run with --ignored"]
fn a_million_points_of_eight_writers_are_there_once() {
    if let Some(fixture) = fixture() {
        fulmen_tracking::conformance::concurrency::eight_writers(&fixture, 63, 1000).unwrap();
    }
}
