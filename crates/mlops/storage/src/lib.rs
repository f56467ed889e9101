//! Artifacts of runs: files under a root folder, written whole or not at all.
//!
//! [`ArtifactStore`] keeps the files of one run. A file appears under its name only when all of its bytes are on the
//! disk, and its BLAKE3 digest is recorded beside the folder, in a manifest that `b3sum --check` reads. Names come from
//! configurations and from HTTP requests, so [`ArtifactName`] admits only what stays inside the folder.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes))]

mod error;
mod manifest;
mod name;
mod store;

pub use error::StorageError;
pub use name::ArtifactName;
pub use store::{Artifact, ArtifactFolder, ArtifactStore, Listing, run_artifact_folder};
