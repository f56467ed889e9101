//! Artifacts by proxy: listed, downloaded, uploaded and deleted through the server, never outside its artifact root.

mod download;
mod multipart;
mod name;
mod place;
mod proxy;
mod upload;

use std::sync::Arc;

use fulmen_encryption::Keyring;
use fulmen_storage::StorageError;

use crate::{
    frame::{ApiError, Code},
    locations::Locations,
    wire::WireFile,
};

pub(crate) use place::Place;
pub(crate) use proxy::{model_artifact, proxied, run_artifact, upload_artifact, version_artifact};

/// The artifacts that this server serves.
#[derive(Debug, Clone)]
pub(crate) struct Artifacts {
    place: Option<Arc<Place>>,
    locations: Locations,
    /// Whether clients may use the proxy, or only see the artifacts of runs.
    proxy: bool,
}

impl Artifacts {
    /// Those in the place at `root`, encrypted under `keyring` where there is one; none where that is not a place that the server
    /// can read.
    pub(crate) fn new(root: &str, keyring: Option<Arc<Keyring>>, proxy: bool) -> Result<Self, StorageError> {
        let place = match Place::open(root, keyring) {
            Ok(place) => Some(Arc::new(place)),
            // Without the proxy the clients go to the place themselves.
            Err(_) if !proxy => None,
            Err(error) => return Err(error),
        };
        Ok(Self { place, locations: Locations::new(root), proxy })
    }

    /// Where files lie.
    fn place(&self) -> Result<Arc<Place>, ApiError> {
        let missing =
            || ApiError::new(Code::UNSUPPORTED, "this server does not read the place where artifacts lie");
        self.place.clone().ok_or_else(missing)
    }

    /// Where files lie, for the proxy's own routes.
    fn proxied_place(&self) -> Result<Arc<Place>, ApiError> {
        if !self.proxy {
            let message = "artifact serving is disabled; start the server with --serve-artifacts";
            return Err(ApiError::new(Code::UNAVAILABLE, message));
        }
        self.place()
    }

    /// Whether clients may use the proxy.
    pub(crate) fn serves(&self) -> bool {
        self.proxy
    }

    /// What lies in the folder `path` below the artifact URI `root_uri`, with paths relative to that.
    pub(crate) fn list_below(&self, root_uri: &str, path: &str) -> Result<Vec<WireFile>, ApiError> {
        let path = name::folder(path)?;
        let entries = self.place()?.list(&name::join(&self.locations.name_of(root_uri)?, &path))?;
        Ok(entries.into_iter().map(|entry| wire_file(name::join(&path, &entry.name), entry.size)).collect())
    }

    /// The name in the place of the file `path` below the artifact URI `root_uri`.
    fn name_below(&self, root_uri: &str, path: &str) -> Result<String, ApiError> {
        Ok(name::join(&self.locations.name_of(root_uri)?, &name::file(path)?))
    }
}

fn wire_file(path: String, size: Option<u64>) -> WireFile {
    WireFile { path, is_dir: size.is_none(), file_size: size }
}
