//! What a store holds.

use std::path::{Path, PathBuf};

use crate::{ArtifactName, StorageError};

/// A file of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name, relative to the store.
    pub name: ArtifactName,
    /// Size in bytes, as it is stored: an encrypted file is some hundred bytes longer than its content.
    pub size: u64,
    /// BLAKE3 digest of the stored bytes, recorded when they were written, in hexadecimal. `None` for a file that another program put
    /// there, and in listings of object stores, which tell it of one object at a time.
    pub digest: Option<String>,
}

/// A folder of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFolder {
    /// Its name, relative to the store.
    pub name: ArtifactName,
}

/// One level of a store, each list sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The folders.
    pub folders: Vec<ArtifactFolder>,
    /// The files.
    pub files: Vec<Artifact>,
}

/// The artifact folder of a run: `<root>/<experiment_id>/<run_id>/artifacts`, as MLflow lays it out.
///
/// # Errors
/// [`StorageError::Name`] where an id is not one plain folder name.
pub fn run_artifact_folder(root: &Path, experiment_id: &str, run_id: &str) -> Result<PathBuf, StorageError> {
    for id in [experiment_id, run_id] {
        ArtifactName::new(id)?;
        if id.contains('/') {
            return Err(StorageError::Name { name: id.to_owned(), reason: "an id is one folder name" });
        }
    }
    Ok(root.join(experiment_id).join(run_id).join("artifacts"))
}
