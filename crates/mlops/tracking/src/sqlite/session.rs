//! One transaction, with what every operation of the store needs.

use rusqlite::{OptionalExtension as _, Row, ToSql, Transaction};

use super::error::Fault;
use crate::TrackingError;

/// A transaction on the store.
pub(super) struct Session<'a> {
    pub(super) sql: Transaction<'a>,
    pub(super) store_uri: &'a str,
    pub(super) artifact_root: &'a str,
}

/// Row keys as the value of a parameter that [`IN_KEYS`] reads.
pub(super) fn key_list(keys: &[i64]) -> String {
    format!("[{}]", keys.iter().map(i64::to_string).collect::<Vec<_>>().join(","))
}

/// `IN …` for the row keys in the first parameter.
pub(super) const IN_KEYS: &str = "IN (SELECT value FROM json_each(?1))";

impl Session<'_> {
    /// Runs a statement with parameters `?1`, `?2` …; returns how many rows it changed.
    pub(super) fn execute(&self, sql: &str, values: &[&dyn ToSql]) -> Result<usize, Fault> {
        Ok(self.sql.prepare_cached(sql)?.execute(values)?)
    }

    /// The first row of a query.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
        read: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let mut statement = self.sql.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        rows.next()?.map(read).transpose()
    }

    /// All rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut statement = self.sql.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(read(row)?);
        }
        Ok(all)
    }

    /// The texts `(owner, key, value)` that the rows `owners` of another table have in `table`, sorted by key within each.
    pub(super) fn texts(
        &self,
        table: &str,
        owner: &str,
        owners: &[i64],
    ) -> Result<Vec<(i64, String, String)>, Fault> {
        let sql =
            format!("SELECT {owner}, key, value FROM {table} WHERE {owner} {IN_KEYS} ORDER BY {owner}, key");
        self.all(&sql, &[&key_list(owners)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    }

    /// Where the runs and models of an experiment lie: where it says, else below the store's artifact root.
    pub(super) fn artifact_location(&self, given: Option<String>, experiment_id: &str) -> String {
        given.unwrap_or_else(|| format!("{}/{experiment_id}", self.artifact_root))
    }

    pub(super) fn not_found(&self, what: &'static str, id: &str) -> Fault {
        TrackingError::NotFound { what, id: id.to_owned(), store: self.store_uri.to_owned() }.into()
    }

    /// Row key of an active run.
    pub(super) fn active_run(&self, run_id: &str) -> Result<i64, Fault> {
        let sql = "SELECT run, deleted_time IS NOT NULL FROM runs WHERE run_id = ?";
        let mut statement = self.sql.prepare_cached(sql)?;
        match statement.query_row([run_id], |row| Ok((row.get(0)?, row.get(1)?))).optional()? {
            None => Err(self.not_found("run", run_id)),
            Some((_, true)) => Err(TrackingError::Deleted { what: "run", id: run_id.to_owned() }.into()),
            Some((run, false)) => Ok(run),
        }
    }

    /// Row key of a run, deleted or not.
    pub(super) fn any_run(&self, run_id: &str) -> Result<i64, Fault> {
        let mut statement = self.sql.prepare_cached("SELECT run FROM runs WHERE run_id = ?")?;
        let run = statement.query_row([run_id], |row| row.get(0)).optional()?;
        run.ok_or_else(|| self.not_found("run", run_id))
    }

    /// Row key of an experiment, and whether it is deleted.
    pub(super) fn any_experiment(&self, experiment_id: &str) -> Result<(i64, bool), Fault> {
        let sql = "SELECT deleted_time IS NOT NULL FROM experiments WHERE experiment_id = ?";
        let mut statement = self.sql.prepare_cached(sql)?;
        // The id is text to its users, any text; here it is a number.
        let experiment =
            experiment_id.parse::<i64>().ok().filter(|number| number.to_string() == experiment_id);
        let experiment = experiment.ok_or_else(|| self.not_found("experiment", experiment_id))?;
        let deleted = statement.query_row([experiment], |row| row.get(0)).optional()?;
        let deleted = deleted.ok_or_else(|| self.not_found("experiment", experiment_id))?;
        Ok((experiment, deleted))
    }

    /// Row key of an active experiment.
    pub(super) fn active_experiment(&self, experiment_id: &str) -> Result<i64, Fault> {
        match self.any_experiment(experiment_id)? {
            (_, true) => {
                Err(TrackingError::Deleted { what: "experiment", id: experiment_id.to_owned() }.into())
            }
            (experiment, false) => Ok(experiment),
        }
    }
}
