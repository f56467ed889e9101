//! What people see: bars, tables, errors.

pub(crate) mod error;
pub(crate) mod profile;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod time;
