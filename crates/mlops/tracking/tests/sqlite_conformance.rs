//! The SQLite store against the rules of every tracking store.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

use std::sync::Arc;

use fulmen_tracking::{SqliteStore, Store, conformance::StoreFixture};

struct Fixture(tempfile::TempDir);

impl StoreFixture for Fixture {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.0.path().join("fulmen.db")).unwrap())
    }
}

fn fixture() -> Option<Fixture> {
    Some(Fixture(tempfile::tempdir().unwrap()))
}

fulmen_tracking::tracking_store_conformance!(fixture);

#[test]
#[ignore = "a million points take a while; run with --ignored"]
fn a_million_points_of_eight_writers_are_there_once() {
    if let Some(fixture) = fixture() {
        fulmen_tracking::conformance::concurrency::eight_writers(&fixture, 63, 1000).unwrap();
    }
}
