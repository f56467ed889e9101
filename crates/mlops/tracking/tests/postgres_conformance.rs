//! The PostgreSQL store against the rules of every tracking store.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

use std::sync::Arc;

use fulmen_tracking::{
    PostgresStore, Store,
    conformance::{StoreFixture, postgres_server},
};

struct Fixture {
    uri: String,
}

impl StoreFixture for Fixture {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(PostgresStore::open(&self.uri, "/tmp/artifacts").unwrap())
    }
}

fn fixture() -> Option<Fixture> {
    match postgres_server::new_database() {
        Ok(uri) => Some(Fixture { uri }),
        Err(why) => {
            fulmen_utils::testing::skipped(&why);
            None
        }
    }
}

fulmen_tracking::tracking_store_conformance!(fixture);

#[test]
#[ignore = "a million points take a while; run with --ignored"]
fn a_million_points_of_eight_writers_are_there_once() {
    if let Some(fixture) = fixture() {
        fulmen_tracking::conformance::concurrency::eight_writers(&fixture, 63, 1000).unwrap();
    }
}
