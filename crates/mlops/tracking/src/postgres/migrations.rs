//! The tables, version by version. A published version never changes; a change is a new version.

use super::{
    error::{PostgresError, failed},
    pool::Pool,
};
use crate::{TrackingError, now_ms, sql::Bind};

/// Script `n` brings a database from version `n` to version `n + 1`.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_initial.sql")];

/// The newest version that this program knows.
const NEWEST: i64 = MIGRATIONS.len() as i64;

/// "FULM": the number of the advisory lock under which one program at a time changes the tables.
const LOCK: i64 = 0x4655_4C4D;

/// Refuses a database that is not Fulmen's, or newer; brings the tables up to date. Any number of programs may do so at
/// once.
pub(super) fn migrate(pool: &Pool) -> Result<(), TrackingError> {
    let mut pooled = pool.begin("BEGIN")?;
    let connection = &mut pooled.connection;
    let uri = pool.uri();
    let sql = |error| failed(uri, error);
    connection.query("SELECT pg_advisory_xact_lock(?1)", &[&LOCK]).map_err(sql)?;
    let schema = connection.query("SELECT current_schema()", &[]).map_err(sql)?;
    let schema: Option<String> = schema.first().and_then(|row| row.get(0));
    let Some(schema) = schema else {
        let reason = "no schema of search_path exists; create it, or name another".to_owned();
        return Err(PostgresError::Refused { server: uri.to_owned(), reason }.into());
    };
    let tables = "SELECT CAST(tablename AS TEXT) FROM pg_catalog.pg_tables WHERE schemaname = ?1";
    let tables: Vec<String> = connection
        .query(tables, &[&schema as &dyn Bind])
        .map_err(sql)?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let has = |name: &str| tables.iter().any(|table| table == name);
    let version = if has("fulmen_schema") {
        let found = connection.query("SELECT version FROM fulmen_schema", &[]).map_err(sql)?;
        found.first().map_or(0, |row| row.get(0))
    } else if ["experiments", "runs", "registered_models", "alembic_version"].into_iter().any(has) {
        return Err(PostgresError::Foreign { server: uri.to_owned() }.into());
    } else {
        connection.batch("CREATE TABLE fulmen_schema (version BIGINT NOT NULL)").map_err(sql)?;
        connection.batch("INSERT INTO fulmen_schema VALUES (0)").map_err(sql)?;
        0
    };
    if version > NEWEST {
        return Err(PostgresError::Newer { server: uri.to_owned(), found: version, known: NEWEST }.into());
    }
    for (migration, from) in MIGRATIONS.into_iter().zip(0..) {
        if from >= version {
            connection.batch(migration).map_err(sql)?;
        }
    }
    if version == 0 {
        let default = "INSERT INTO experiments (experiment_id, name, creation_time, last_update_time) VALUES (0, 'Default', ?1, ?1)";
        connection.execute(default, &[&now_ms()]).map_err(sql)?;
    }
    connection.execute("UPDATE fulmen_schema SET version = ?1", &[&NEWEST]).map_err(sql)?;
    pooled.commit().map_err(sql)
}
