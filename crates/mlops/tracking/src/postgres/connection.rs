//! One connection, with the statements that it has prepared.

use std::{collections::HashMap, fmt};

use postgres::{Client, Row, Statement, types::ToSql};

use crate::sql::Bind;

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 128;

/// A connection to the server.
pub(crate) struct PostgresConnection {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl PostgresConnection {
    pub(super) fn new(client: Client) -> Self {
        Self { client, statements: HashMap::new() }
    }

    /// Runs statements without parameters.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), postgres::Error> {
        self.client.batch_execute(sql)
    }

    /// All rows of a query with parameters `?1`, `?2` …
    pub(crate) fn query(&mut self, sql: &str, values: &[&dyn Bind]) -> Result<Vec<Row>, postgres::Error> {
        let values: Vec<_> = values.iter().map(|value| value.postgres()).collect();
        let statement = self.statement(sql)?;
        self.client.query(&statement, &values)
    }

    /// Runs a statement with parameters `?1`, `?2` …; returns how many rows it changed.
    pub(crate) fn execute(&mut self, sql: &str, values: &[&dyn Bind]) -> Result<usize, postgres::Error> {
        let values: Vec<_> = values.iter().map(|value| value.postgres()).collect();
        self.execute_plain(sql, &values)
    }

    /// As [`execute`](Self::execute), with values of types that only this database has.
    pub(crate) fn execute_plain(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<usize, postgres::Error> {
        let statement = self.statement(sql)?;
        let changed = self.client.execute(&statement, values)?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn statement(&mut self, sql: &str) -> Result<Statement, postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        // All that a user wrote is in parameters: no `?` of the text is anything else.
        let statement = self.client.prepare(&sql.replace('?', "$"))?;
        if self.statements.len() == STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl fmt::Debug for PostgresConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresConnection").field("statements", &self.statements.len()).finish()
    }
}
