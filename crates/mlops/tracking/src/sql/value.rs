//! Values on their way to a database and back.

use postgres::types as pg;
use rusqlite::types as lite;

use crate::page_token::Cell;

/// What can be the value of a parameter in both databases.
pub(crate) trait Bind {
    fn sqlite(&self) -> &dyn lite::ToSql;
    fn postgres(&self) -> &(dyn pg::ToSql + Sync);
}

impl<T: lite::ToSql + pg::ToSql + Sync> Bind for T {
    fn sqlite(&self) -> &dyn lite::ToSql {
        self
    }

    fn postgres(&self) -> &(dyn pg::ToSql + Sync) {
        self
    }
}

/// What can be read from a column in both databases.
pub(crate) trait Read: lite::FromSql + for<'a> pg::FromSql<'a> {}

impl<T: lite::FromSql + for<'a> pg::FromSql<'a>> Read for T {}

/// A value whose type is known only when a search runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Integer(number),
            Value::Real(number) => Self::Real(number.to_bits()),
            Value::Text(text) => Self::Text(text),
        }
    }
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Integer(number) => Self::Integer(number),
            Cell::Real(bits) => Self::Real(f64::from_bits(bits)),
            Cell::Text(text) => Self::Text(text),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl lite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<lite::ToSqlOutput<'_>> {
        match self {
            Self::Null => Ok(lite::Null.into()),
            Self::Integer(number) => number.to_sql(),
            Self::Real(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}

impl lite::FromSql for Value {
    fn column_result(value: lite::ValueRef<'_>) -> lite::FromSqlResult<Self> {
        match value {
            lite::ValueRef::Null => Ok(Self::Null),
            lite::ValueRef::Integer(number) => Ok(Self::Integer(number)),
            lite::ValueRef::Real(number) => Ok(Self::Real(number)),
            lite::ValueRef::Text(_) => value.as_str().map(|text| Self::Text(text.to_owned())),
            lite::ValueRef::Blob(_) => Err(lite::FromSqlError::InvalidType),
        }
    }
}

type Boxed = Box<dyn std::error::Error + Sync + Send>;

impl pg::ToSql for Value {
    fn to_sql(&self, ty: &pg::Type, out: &mut bytes::BytesMut) -> Result<pg::IsNull, Boxed> {
        match self {
            Self::Null => Ok(pg::IsNull::Yes),
            Self::Integer(number) if *ty == pg::Type::INT2 => i16::try_from(*number)?.to_sql(ty, out),
            Self::Integer(number) if *ty == pg::Type::BOOL => (*number != 0).to_sql(ty, out),
            Self::Integer(number) => number.to_sql(ty, out),
            Self::Real(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
        }
    }

    fn accepts(ty: &pg::Type) -> bool {
        [pg::Type::INT8, pg::Type::INT2, pg::Type::BOOL, pg::Type::FLOAT8, pg::Type::TEXT].contains(ty)
    }

    fn to_sql_checked(&self, ty: &pg::Type, out: &mut bytes::BytesMut) -> Result<pg::IsNull, Boxed> {
        let fits = match self {
            Self::Null => true,
            Self::Integer(_) => [pg::Type::INT8, pg::Type::INT2, pg::Type::BOOL].contains(ty),
            Self::Real(_) => *ty == pg::Type::FLOAT8,
            Self::Text(_) => *ty == pg::Type::TEXT,
        };
        if fits { self.to_sql(ty, out) } else { Err(format!("{self:?} is no value of the type {ty}").into()) }
    }
}

impl<'a> pg::FromSql<'a> for Value {
    fn from_sql(ty: &pg::Type, raw: &'a [u8]) -> Result<Self, Boxed> {
        match *ty {
            pg::Type::INT8 => i64::from_sql(ty, raw).map(Self::Integer),
            pg::Type::INT2 => i16::from_sql(ty, raw).map(|number| Self::Integer(number.into())),
            pg::Type::BOOL => bool::from_sql(ty, raw).map(|truth| Self::Integer(truth.into())),
            pg::Type::FLOAT8 => f64::from_sql(ty, raw).map(Self::Real),
            _ => String::from_sql(ty, raw).map(Self::Text),
        }
    }

    fn from_sql_null(_: &pg::Type) -> Result<Self, Boxed> {
        Ok(Self::Null)
    }

    fn accepts(_: &pg::Type) -> bool {
        true
    }
}
