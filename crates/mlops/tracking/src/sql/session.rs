//! One transaction, with what every operation of the store needs.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use super::{
    Dialect, Fault,
    bulk::Column,
    dialect::Lock,
    value::{Bind, Read},
};
use crate::{Param, Tag, TrackingError, postgres::PostgresConnection};

/// A transaction on the store.
pub(crate) struct Session<'a> {
    pub(crate) connection: Connection<'a>,
    pub(crate) store_uri: &'a str,
    pub(crate) artifact_root: &'a str,
}

/// The connection that a transaction has to itself.
pub(crate) enum Connection<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(RefCell<&'a mut PostgresConnection>),
}

/// A row of an answer.
pub(crate) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a postgres::Row),
}

impl Row<'_> {
    /// The value in a column, counted from 0.
    pub(super) fn get<T: Read>(&self, column: usize) -> Result<T, Fault> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }
}

impl Session<'_> {
    pub(super) fn dialect(&self) -> Dialect {
        match self.connection {
            Connection::Sqlite(_) => Dialect::Sqlite,
            Connection::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs a statement with parameters `?1`, `?2` …; returns how many rows it changed.
    pub(super) fn execute(&self, sql: &str, values: &[&dyn Bind]) -> Result<usize, Fault> {
        match &self.connection {
            Connection::Sqlite(connection) => Ok(connection.prepare_cached(sql)?.execute(sqlite(values))?),
            Connection::Postgres(connection) => Ok(connection.borrow_mut().execute(sql, values)?),
        }
    }

    /// The first row of a query.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        values: &[&dyn Bind],
        read: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        match &self.connection {
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(sqlite(values))?;
                rows.next()?.map(|row| read(&Row::Sqlite(row))).transpose()
            }
            Connection::Postgres(connection) => {
                let rows = connection.borrow_mut().query(sql, values)?;
                rows.first().map(|row| read(&Row::Postgres(row))).transpose()
            }
        }
    }

    /// All rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        values: &[&dyn Bind],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        match &self.connection {
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(sqlite(values))?;
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    all.push(read(&Row::Sqlite(row))?);
                }
                Ok(all)
            }
            Connection::Postgres(connection) => {
                let rows = connection.borrow_mut().query(sql, values)?;
                rows.iter().map(|row| read(&Row::Postgres(row))).collect()
            }
        }
    }

    /// Inserts rows, given by columns of one length; `conflict` says what happens to those that are there already. Returns
    /// how many rows it wrote.
    pub(super) fn insert(
        &self,
        table: &str,
        columns: &[(&str, Column<'_>)],
        conflict: &str,
    ) -> Result<usize, Fault> {
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        match &self.connection {
            Connection::Sqlite(connection) => {
                let places =
                    (1..=columns.len()).map(|index| format!("?{index}")).collect::<Vec<_>>().join(", ");
                let sql = format!("INSERT INTO {table} ({names}) VALUES ({places}) {conflict}");
                let mut statement = connection.prepare_cached(&sql)?;
                let mut written = 0;
                for row in 0..columns.first().map_or(0, |(_, column)| column.len()) {
                    let values = columns.iter().map(|(_, column)| column.sqlite(row));
                    written += statement.execute(rusqlite::params_from_iter(values))?;
                }
                Ok(written)
            }
            Connection::Postgres(connection) => {
                if columns.first().is_none_or(|(_, column)| column.len() == 0) {
                    return Ok(0);
                }
                let places = columns.iter().enumerate();
                let places =
                    places.map(|(index, (_, column))| format!("CAST(?{} AS {})", index + 1, column.array()));
                let places = places.collect::<Vec<_>>().join(", ");
                let sql = format!("INSERT INTO {table} ({names}) SELECT * FROM unnest({places}) {conflict}");
                let arrays: Vec<_> = columns.iter().map(|(_, column)| column.postgres()).collect();
                Ok(connection.borrow_mut().execute_plain(&sql, &arrays)?)
            }
        }
    }

    /// `IN …` for the row keys in the first parameter, as [`key_list`](Self::key_list) writes them.
    pub(super) fn in_keys(&self) -> String {
        self.dialect().in_keys("?1")
    }

    /// Row keys as the value of one parameter.
    pub(super) fn key_list(&self, keys: &[i64]) -> String {
        self.dialect().key_list(keys)
    }

    /// The texts `(owner, key, value)` that the rows `owners` of another table have in `table`, sorted by key within each.
    pub(super) fn texts(
        &self,
        table: &str,
        owner: &str,
        owners: &[i64],
    ) -> Result<Vec<(i64, String, String)>, Fault> {
        let in_keys = self.in_keys();
        let sql =
            format!("SELECT {owner}, key, value FROM {table} WHERE {owner} {in_keys} ORDER BY {owner}, key");
        self.all(&sql, &[&self.key_list(owners)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    }

    /// Sets tags of the row `key` of another table; of a key that is given twice the last value stays.
    pub(super) fn upsert_texts(&self, table: &str, owner: &str, key: i64, tags: &[Tag]) -> Result<(), Fault> {
        // One statement may not touch a row twice, and rows that are locked in one order make no deadlock.
        let tags: BTreeMap<&str, &str> =
            tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
        let columns = [
            (owner, Column::Integers(vec![key; tags.len()])),
            ("key", Column::Texts(tags.keys().copied().collect())),
            ("value", Column::Texts(tags.values().copied().collect())),
        ];
        let conflict = format!("ON CONFLICT ({owner}, key) DO UPDATE SET value = excluded.value");
        self.insert(table, &columns, &conflict)?;
        Ok(())
    }

    /// Writes params of the row `key` of another table; returns the first that has another value already, and that value.
    pub(super) fn insert_params<'p>(
        &self,
        table: &str,
        owner: &str,
        key: i64,
        params: &'p [Param],
    ) -> Result<Option<(&'p Param, String)>, Fault> {
        // Checked before: a key that is given twice has one value.
        let by_key: BTreeMap<&str, &'p Param> =
            params.iter().map(|param| (param.key.as_str(), param)).collect();
        let columns = [
            (owner, Column::Integers(vec![key; by_key.len()])),
            ("key", Column::Texts(by_key.keys().copied().collect())),
            ("value", Column::Texts(by_key.values().map(|param| param.value.as_str()).collect())),
        ];
        if self.insert(table, &columns, "ON CONFLICT DO NOTHING")? == by_key.len() {
            return Ok(None);
        }
        let stored: HashMap<String, String> =
            self.texts(table, owner, &[key])?.into_iter().map(|(_, key, value)| (key, value)).collect();
        let differs = by_key.into_values().find_map(|param| {
            let stored = stored.get(&param.key)?;
            (*stored != param.value).then(|| (param, stored.clone()))
        });
        Ok(differs)
    }

    /// Where the runs and models of an experiment lie: where it says, else below the store's artifact root.
    pub(super) fn artifact_location(&self, given: Option<String>, experiment_id: &str) -> String {
        given.unwrap_or_else(|| format!("{}/{experiment_id}", self.artifact_root))
    }

    pub(super) fn not_found(&self, what: &'static str, id: &str) -> Fault {
        TrackingError::NotFound { what, id: id.to_owned(), store: self.store_uri.to_owned() }.into()
    }

    /// Row key of an active run that is to be written to: until the end of the transaction by nobody else.
    pub(super) fn active_run(&self, run_id: &str) -> Result<i64, Fault> {
        let lock = self.dialect().lock(Lock::Exclusive);
        let sql = format!("SELECT run, deleted_time IS NOT NULL FROM runs WHERE run_id = ?1{lock}");
        match self.first(&sql, &[&run_id], |row| Ok((row.get(0)?, row.get(1)?)))? {
            None => Err(self.not_found("run", run_id)),
            Some((_, true)) => Err(TrackingError::Deleted { what: "run", id: run_id.to_owned() }.into()),
            Some((run, false)) => Ok(run),
        }
    }

    /// Row key of a run, deleted or not.
    pub(super) fn any_run(&self, run_id: &str) -> Result<i64, Fault> {
        let run = self.first("SELECT run FROM runs WHERE run_id = ?1", &[&run_id], |row| row.get(0))?;
        run.ok_or_else(|| self.not_found("run", run_id))
    }

    /// Row key of an experiment, and whether it is deleted.
    pub(super) fn any_experiment(&self, experiment_id: &str, lock: Lock) -> Result<(i64, bool), Fault> {
        // The id is text to its users, any text; here it is a number.
        let experiment =
            experiment_id.parse::<i64>().ok().filter(|number| number.to_string() == experiment_id);
        let experiment = experiment.ok_or_else(|| self.not_found("experiment", experiment_id))?;
        let lock = self.dialect().lock(lock);
        let sql = format!("SELECT deleted_time IS NOT NULL FROM experiments WHERE experiment_id = ?1{lock}");
        let deleted = self.first(&sql, &[&experiment], |row| row.get(0))?;
        let deleted = deleted.ok_or_else(|| self.not_found("experiment", experiment_id))?;
        Ok((experiment, deleted))
    }

    /// Row key of an active experiment.
    pub(super) fn active_experiment(&self, experiment_id: &str, lock: Lock) -> Result<i64, Fault> {
        match self.any_experiment(experiment_id, lock)? {
            (_, true) => {
                Err(TrackingError::Deleted { what: "experiment", id: experiment_id.to_owned() }.into())
            }
            (experiment, false) => Ok(experiment),
        }
    }
}

fn sqlite<'a>(values: &'a [&'a dyn Bind]) -> impl rusqlite::Params + 'a {
    rusqlite::params_from_iter(values.iter().map(|value| value.sqlite()))
}
