//! Artifacts of runs, the cache of prepared data, and the encryption of both.
//!
//! [`ArtifactStore`] keeps the files of one run, in a folder, in an object store (S3, Google Cloud Storage, Azure) or behind a server
//! that hands them through ([`ArtifactProxy`]): one interface. A file appears under its name only when all of it is stored, and its BLAKE3 digest is recorded: for a folder
//! in a manifest beside it, which `b3sum --check` reads; for an object in its own metadata, which are written with it in one step.
//! Names come from configurations and from HTTP requests, so [`ArtifactName`] admits only what stays inside the store.
//!
//! Calls block. In an asynchronous program they belong on a thread for blocking work.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes))]

mod artifact;
mod cache;
mod error;
mod keyring;
mod local;
mod location;
mod manifest;
mod name;
mod proxied;
mod remote;
mod store;
mod stream;

pub use artifact::{Artifact, ArtifactFolder, Listing, run_artifact_folder};
pub use cache::{CacheEntry, CacheInfo, CacheKey, CacheWriter, DatasetCache, Pruned};
pub use error::StorageError;
pub use keyring::KeyringPlace;
pub use local::LocalStore;
pub use name::ArtifactName;
pub use proxied::ArtifactProxy;
pub use store::ArtifactStore;
pub use stream::{ArtifactReader, ArtifactWriter};
