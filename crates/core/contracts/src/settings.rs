//! Sections of a run's configuration that both programs read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is encrypted at rest, and where the keys are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptionConfig {
    /// Whether what is put among a run's artifacts is encrypted.
    pub artifacts: bool,
    /// Whether the cache of prepared data is.
    pub cache: bool,
    /// Path or URI of the keyring with the data keys.
    pub keyring: String,
    /// Where the master key is: `file:/path`, `env:NAME` or `command:program --flag`.
    pub master_key: Option<String>,
}

impl Default for EncryptionConfig {
    fn default() -> Self {
        Self { artifacts: false, cache: false, keyring: "runs/keyring.age".to_owned(), master_key: None }
    }
}

/// The cache of prepared data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Its folder; left out: `prepared` in Fulmen's cache folder.
    pub folder: Option<String>,
    /// Its size in GiB beyond which what was used longest ago is removed; null: no limit.
    #[schemars(range(min = 0.0))]
    pub size_limit_gib: Option<f64>,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { folder: None, size_limit_gib: Some(50.0) }
    }
}
