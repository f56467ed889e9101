//! The remote store against the rules of every store, on MLflow's own server.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use fulmen_tracking::{RemoteStore, Store, conformance::StoreFixture};
use fulmen_utils::testing::skipped;
use rusqlite::Connection;

use crate::services;

/// What MLflow's server (3.17 on SQLite) does otherwise, and why.
const NOT_KEPT: &[(&str, &str)] = &[];

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
        if let Some((case, reason)) = reason {
            skipped(&format!("{case}: {reason}"));
        }
        reason.is_some()
    }
}

fn fixture() -> Option<Fixture> {
    mlflow().map(Fixture)
}

fulmen_tracking::tracking_store_conformance!(fixture);
