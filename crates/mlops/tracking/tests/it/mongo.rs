//! The MongoDB store against the rules of every store, and against what is its own.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use fulmen_tracking::{MongoStore, Store, conformance::StoreFixture};

use crate::services;

/// A database of its own for each test; none where there is no server.
struct Fixture(Option<String>);

impl StoreFixture for Fixture {
    fn open(&self) -> Arc<dyn Store> {
        let uri = self.0.as_deref().unwrap();
        Arc::new(MongoStore::open_with_artifact_root(uri, "/artifacts").unwrap())
    }

    fn skips(&self, _case: &str) -> bool {
        if self.0.is_none() {
            fulmen_utils::testing::skipped(services::NO_MONGODB);
        }
        self.0.is_none()
    }
}

/// The URI of a new database.
fn new_database(server: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{}/fulmen_test_{}_{number}", server.trim_end_matches('/'), std::process::id())
}

fn fixture() -> Fixture {
    Fixture(services::mongodb().map(new_database))
}

fulmen_tracking::tracking_store_conformance!(fixture);
