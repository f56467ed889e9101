//! What the stores in SQL databases share: tables, rules, and searches as SQL, written once.
//!
//! A database brings transactions ([`Database`]) and a few words of its own ([`Dialect`]). Statements are written as SQLite
//! has them, with parameters `?1`, `?2` …; what both databases can say is said one way.

mod bulk;
mod dialect;
mod experiments;
mod fault;
mod journal_position;
mod lineage;
mod lineage_store;
mod log;
mod logged_models;
mod metrics;
mod model_registry;
mod model_versions;
mod paging;
mod query;
mod registered_models;
mod runs;
mod search;
mod session;
mod tracking_store;
mod value;

use std::fmt::Debug;

pub(crate) use self::{
    dialect::Dialect,
    fault::Fault,
    session::{Connection, Session},
    value::Bind,
};
use crate::TrackingError;

/// A database that holds a store.
pub(crate) trait Database: Debug + Send + Sync {
    /// The URI that the store was opened with, without secrets.
    fn uri(&self) -> &str;

    /// Runs `work` in a transaction that sees one state of the database and may not change it.
    fn read<T>(&self, work: impl Fn(&Session<'_>) -> Result<T, Fault>) -> Result<T, TrackingError>;

    /// Runs `work` in a transaction that is committed if it succeeds. Where it stood in the way of another, it may be run
    /// again from the start.
    fn write<T>(&self, work: impl Fn(&Session<'_>) -> Result<T, Fault>) -> Result<T, TrackingError>;
}
