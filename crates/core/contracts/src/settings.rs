//! Sections of a run's configuration that both programs read.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is encrypted at rest, and where the keys are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptionConfig {
    /// Whether all artifacts of a run are encrypted, checkpoints among them.
    pub artifacts: bool,
    /// Whether checkpoints are, where the other artifacts are not.
    pub checkpoints: bool,
    /// Whether the cache of prepared data is.
    pub cache: bool,
    /// Path or URI of the keyring with the data keys.
    pub keyring: String,
    /// Where the master key is: `file:/path`, `env:NAME` or `command:program --flag`.
    pub master_key: Option<String>,
}

impl Default for EncryptionConfig {
    fn default() -> Self {
        Self {
            artifacts: false,
            checkpoints: false,
            cache: false,
            keyring: "runs/keyring.age".to_owned(),
            master_key: None,
        }
    }
}

impl EncryptionConfig {
    /// What of a run's artifacts is encrypted.
    #[must_use]
    pub const fn of_runs(&self) -> Option<Encrypted> {
        match (self.artifacts, self.checkpoints) {
            (true, _) => Some(Encrypted::Artifacts),
            (false, true) => Some(Encrypted::Checkpoints),
            (false, false) => None,
        }
    }
}

/// What of a run's artifacts is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encrypted {
    /// All of them.
    Artifacts,
    /// The checkpoints alone.
    Checkpoints,
}

impl Encrypted {
    /// As the configuration calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Artifacts => "artifacts",
            Self::Checkpoints => "checkpoints",
        }
    }

    /// Whether it holds for the artifact `name`.
    #[must_use]
    pub fn covers(self, name: &str) -> bool {
        self == Self::Artifacts || name.split('/').next() == Some(crate::CHECKPOINTS)
    }

    /// What is called so.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Artifacts, Self::Checkpoints].into_iter().find(|one| one.name() == name)
    }
}

/// The cache of prepared data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Its folder; left out: `prepared` in Fulmen's cache folder.
    pub folder: Option<String>,
    /// Its size in GiB beyond which what was used longest ago is removed; null: no limit; 0: runs keep nothing in it.
    #[schemars(range(min = 0.0))]
    pub size_limit_gib: Option<f64>,
}

impl CacheConfig {
    /// Its folder; none where this machine has no place for caches.
    #[must_use]
    pub fn place(&self) -> Option<PathBuf> {
        match &self.folder {
            Some(folder) => Some(PathBuf::from(folder)),
            None => Some(fulmen_utils::cache::folder()?.join("prepared")),
        }
    }

    /// Its size limit in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> Option<u64> {
        // 2³⁰ bytes are a GiB.
        self.size_limit_gib.map(|gib| (gib * 1_073_741_824.0) as u64)
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { folder: None, size_limit_gib: Some(50.0) }
    }
}
