//! A store on an MLflow server, spoken to over its REST API 2.0: MLflow's own server, or any that speaks like it.
//!
//! Two things that MLflow does not know are kept in tags of the run, which this store hides from its users:
//!
//! - `fulmen.journal.<id>`: how far a journal has been delivered. It is set after the records, by a request of its own. A
//!   sender that dies in between delivers the records once more, and the server stores them once: MLflow's database has a
//!   point's key, step, time and value as its primary key, a param's second equal value changes nothing, and a tag is
//!   overwritten by itself.
//! - `fulmen.axis.<metric>`: what the steps of a metric count, where that is not optimizer steps. One axis per metric: of a
//!   metric that was logged along several, all points get the last.
//!
//! What MLflow offers no request for (removing what is deleted for good, the time of a deletion) is not there. A batch that
//! is beyond what one request may carry goes in several, params first, because they alone can be refused.

mod address;
mod artifact_store;
mod artifacts;
mod client;
mod error;
mod experiments;
mod lineage;
mod log;
mod registry;
mod runs;
mod wire;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use serde_json::json;

use self::client::Client;
pub use self::{
    artifacts::{RemoteArtifacts, RemoteFile},
    error::RemoteError,
};
use crate::{
    TrackingError,
    page_token::{self, Cell},
};

/// A tracking store on an MLflow server.
#[derive(Debug)]
pub struct RemoteStore {
    client: Client,
    /// Positions of the journals that this process delivers, as the server has them.
    positions: Mutex<HashMap<(String, String), u64>>,
    /// Runs and metrics whose axis the server knows.
    axes: Mutex<HashSet<(String, String)>>,
}

impl RemoteStore {
    /// Reads a URI such as `https://user:password@host:5000/prefix`, and the variables `MLFLOW_TRACKING_USERNAME`,
    /// `MLFLOW_TRACKING_PASSWORD`, `MLFLOW_TRACKING_TOKEN`, `MLFLOW_TRACKING_INSECURE_TLS`,
    /// `MLFLOW_TRACKING_SERVER_CERT_PATH` and `MLFLOW_TRACKING_CLIENT_CERT_PATH`. The server is not contacted.
    ///
    /// # Errors
    /// [`UriError`](crate::UriError) where the URI cannot be understood, and a certificate that cannot be read.
    pub fn open(uri: &str) -> Result<Self, TrackingError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let client = Client::new(address::Address::read(uri, &variable)?)?;
        Ok(Self { client, positions: Mutex::default(), axes: Mutex::default() })
    }

    /// The artifacts that the server hands through.
    #[must_use]
    pub fn artifacts(&self) -> RemoteArtifacts {
        RemoteArtifacts::new(self.client.clone())
    }

    fn not_found(&self, what: &'static str, id: &str) -> TrackingError {
        TrackingError::NotFound { what, id: id.to_owned(), store: self.client.uri().to_owned() }
    }

    fn unsupported(&self, what: &'static str) -> TrackingError {
        RemoteError::Unsupported { uri: self.client.uri().to_owned(), what }.into()
    }
}

/// The server's own token of the page that `token` asks for; our token also says which search it belongs to.
fn servers_token(identity: &str, token: Option<&str>) -> Result<Option<String>, TrackingError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    match page_token::decode(identity, token, 1)?.as_slice() {
        [Cell::Text(token)] => Ok(Some(token.clone())),
        _ => Err(TrackingError::PageToken),
    }
}

fn our_token(identity: &str, token: Option<String>) -> Option<String> {
    let token = token.filter(|token| !token.is_empty())?;
    Some(page_token::encode(identity, vec![Cell::Text(token)]))
}

/// Locks what cannot be left half-changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `[{"key": …, "value": …}]`
fn tags_json(tags: &[crate::Tag]) -> serde_json::Value {
    tags.iter().map(|tag| json!({ "key": tag.key, "value": tag.value })).collect()
}
