//! Many rows in one call, by columns: a loop over one statement in SQLite, one statement over arrays in PostgreSQL.

use postgres::types::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// The values of one column, a row after the other.
#[derive(Debug)]
pub(super) enum Column<'a> {
    Integers(Vec<i64>),
    Small(Vec<i16>),
    Booleans(Vec<bool>),
    Reals(Vec<f64>),
    Texts(Vec<&'a str>),
}

impl Column<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Integers(values) => values.len(),
            Self::Small(values) => values.len(),
            Self::Booleans(values) => values.len(),
            Self::Reals(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    /// The value in a row, which is below [`len`](Self::len).
    pub(super) fn sqlite(&self, row: usize) -> ToSqlOutput<'_> {
        let value = match self {
            Self::Integers(values) => ValueRef::Integer(values[row]),
            Self::Small(values) => ValueRef::Integer(values[row].into()),
            Self::Booleans(values) => ValueRef::Integer(values[row].into()),
            Self::Reals(values) => ValueRef::Real(values[row]),
            Self::Texts(values) => ValueRef::Text(values[row].as_bytes()),
        };
        ToSqlOutput::Borrowed(value)
    }

    /// The whole column as the value of one parameter.
    pub(super) fn postgres(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Integers(values) => values,
            Self::Small(values) => values,
            Self::Booleans(values) => values,
            Self::Reals(values) => values,
            Self::Texts(values) => values,
        }
    }

    /// The type of that parameter.
    pub(super) fn array(&self) -> &'static str {
        match self {
            Self::Integers(_) => "BIGINT[]",
            Self::Small(_) => "SMALLINT[]",
            Self::Booleans(_) => "BOOLEAN[]",
            Self::Reals(_) => "DOUBLE PRECISION[]",
            Self::Texts(_) => "TEXT[]",
        }
    }
}
