//! A store in a MongoDB database, which many machines write at once.
//!
//! A run, an experiment, a model is one document, and every call that writes changes one document by an update that is
//! atomic, so it happens as a whole or not at all on a standalone server as on a replica set: no transaction is needed, and
//! none is used. The points of metrics lie packed in documents of their own, one for each batch and metric. A batch first enters its run's document, together with
//! params, tags, latest values and the journal's position: from then on it is stored. Then its points are copied to their
//! collection, under ids that say which batch, and the batch leaves the document. A process that dies in between leaves
//! the batch there, and whoever next reads a history of the run copies it.
//!
//! What spans documents (an experiment's deletion, a model's rename) goes in an order in which the call can be repeated.

mod connection;
mod documents;
mod error;
mod experiments;
mod lineage;
mod logged_models;
mod model_versions;
mod modify;
mod points;
mod query;
mod registered_models;
mod runs;
mod search;
mod store;

use std::sync::{Mutex, PoisonError};

pub use self::error::MongoError;
use self::{connection::Collections, documents::RunDocument, error::mongo_error};
use crate::{TrackingError, limits};

/// Runs that a process remembers for its writers.
const SLOTS: usize = 64;

/// A tracking store in a MongoDB database.
///
/// Calls block; a thread that drives an asynchronous runtime must not make them. What a call has written is on the disk of
/// the majority of the servers when the call returns, unless the URI asks for less (`w=`, `journal=`).
#[derive(Debug)]
pub struct MongoStore {
    uri: String,
    artifact_root: String,
    collections: Collections,
    /// Whether the database has been looked at.
    is_prepared: Mutex<bool>,
    /// The runs that were written last; a run has its place by its id.
    slots: Box<[Mutex<Option<RunDocument>>]>,
}

impl MongoStore {
    /// Reads a URI such as `mongodb://user:password@host:27017/database?replicaSet=rs0`; without a database it is `fulmen`.
    /// The server is not contacted before the first call. Artifacts go to the folder `mlartifacts` of the working folder.
    ///
    /// # Errors
    /// [`UriError`](crate::UriError) where the URI cannot be understood.
    pub fn open(uri: &str) -> Result<Self, TrackingError> {
        let artifact_root = std::path::absolute("mlartifacts").unwrap_or_else(|_| "mlartifacts".into());
        Self::open_with_artifact_root(uri, &artifact_root.to_string_lossy())
    }

    /// As [`open`](Self::open), with the artifacts of new experiments below the path or URI `artifact_root`.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where `artifact_root` is no location.
    pub fn open_with_artifact_root(uri: &str, artifact_root: &str) -> Result<Self, TrackingError> {
        limits::check_artifact_location(artifact_root)?;
        Ok(Self {
            uri: connection::without_secrets(uri),
            artifact_root: artifact_root.trim_end_matches('/').to_owned(),
            collections: connection::connect(uri)?,
            is_prepared: Mutex::new(false),
            slots: (0..SLOTS).map(|_| Mutex::new(None)).collect(),
        })
    }

    /// The collections, of a database that is Fulmen's and up to date.
    fn collections(&self) -> Result<&Collections, TrackingError> {
        // Nothing under this lock can panic half-way.
        let mut is_prepared = self.is_prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_prepared {
            self.collections.prepare(&self.uri, &self.artifact_root)?;
            *is_prepared = true;
        }
        Ok(&self.collections)
    }

    fn failed(&self, error: mongodb::error::Error) -> TrackingError {
        mongo_error(&self.uri, error)
    }

    fn not_found(&self, what: &'static str, id: &str) -> TrackingError {
        TrackingError::NotFound { what, id: id.to_owned(), store: self.uri.clone() }
    }
}
