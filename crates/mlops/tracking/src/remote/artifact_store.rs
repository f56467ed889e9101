//! The artifacts of one run behind a tracking server, as a store of artifacts.

use std::{io::Read, path::Path, sync::Arc};

use fulmen_storage::{
    Artifact, ArtifactFolder, ArtifactName, ArtifactProxy, ArtifactStore, Listing, StorageError,
};

use super::RemoteArtifacts;
use crate::{ErrorKind, TrackingError};

/// Artifacts below one URI.
#[derive(Debug)]
struct Below {
    artifacts: RemoteArtifacts,
    uri: String,
}

impl RemoteArtifacts {
    /// The store of what lies below `artifact_uri`, such as the artifacts of a run.
    #[must_use]
    pub fn store(&self, artifact_uri: &str) -> ArtifactStore {
        ArtifactStore::proxied(Arc::new(Below { artifacts: self.clone(), uri: artifact_uri.to_owned() }))
    }
}

impl Below {
    fn failed(&self, name: &str, action: &'static str, error: TrackingError) -> StorageError {
        let uri = format!("{}/{name}", self.uri.trim_end_matches('/'));
        match error.kind() {
            ErrorKind::NotFound => StorageError::Missing { path: uri.into() },
            kind => StorageError::Server {
                uri,
                action,
                is_transient: kind == ErrorKind::Unavailable,
                source: Box::new(error),
            },
        }
    }
}

impl ArtifactProxy for Below {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn list(&self, folder: &str) -> Result<Listing, StorageError> {
        let listed = self.artifacts.list(&self.uri, folder);
        let listed = listed.map_err(|error| self.failed(folder, "list the artifacts", error))?;
        let mut listing = Listing::default();
        for entry in listed {
            let name = if folder.is_empty() { entry.path } else { format!("{folder}/{}", entry.path) };
            // A name that could not be asked for either.
            let Ok(name) = ArtifactName::new(&name) else { continue };
            if entry.is_dir {
                listing.folders.push(ArtifactFolder { name });
            } else {
                listing.files.push(Artifact { name, size: entry.file_size.unwrap_or(0), digest: None });
            }
        }
        listing.folders.sort_by(|left, right| left.name.cmp(&right.name));
        listing.files.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(listing)
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, StorageError> {
        self.artifacts.open(&self.uri, name).map_err(|error| self.failed(name, "fetch the artifact", error))
    }

    fn put(&self, name: &str, from: &Path) -> Result<(), StorageError> {
        let put = self.artifacts.put_file(&self.uri, name, from);
        put.map_err(|error| self.failed(name, "send the artifact", error))
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        let deleted = self.artifacts.delete(&self.uri, name);
        deleted.map_err(|error| self.failed(name, "delete the artifact", error))
    }
}
