//! What the configuration says of encryption, and the keys that follow from it.

use std::sync::Arc;

use fulmen_configuration::{Config, to_json};
use fulmen_contracts::settings::EncryptionConfig;
use fulmen_encryption::{EncryptionError, KeySource, Keyring, MasterKey};
use fulmen_manager::RunEncryption;
use fulmen_storage::KeyringPlace;
use serde::de::DeserializeOwned;

use crate::{ConfigProblem, Problems, RunnerError};

/// A section of the configuration, typed.
///
/// # Errors
/// When a value does not fit: the message is placed where the section was written.
pub fn section<T: DeserializeOwned + Default>(config: &Config, key: &str) -> Result<T, RunnerError> {
    let Some(node) = config.value(key)?.filter(|node| !node.is_null()) else { return Ok(T::default()) };
    serde_json::from_value(to_json(&node)).map_err(|error| problem(config, key, error.to_string()))
}

fn problem(config: &Config, key: &str, message: impl Into<String>) -> RunnerError {
    Problems(vec![ConfigProblem::placed(config, key, message)]).into()
}

/// The section `encryption`, and its values put to use.
#[derive(Debug)]
pub struct Encryption<'a> {
    config: &'a Config,
    /// The section itself.
    pub settings: EncryptionConfig,
    /// Where the keyring is.
    pub keyring: KeyringPlace,
    /// Where the master key is, if that was said.
    pub source: Option<KeySource>,
}

impl<'a> Encryption<'a> {
    /// Reads the section. Nothing is fetched yet.
    ///
    /// # Errors
    /// When a value of it names no place.
    pub fn of(config: &'a Config) -> Result<Self, RunnerError> {
        let settings: EncryptionConfig = section(config, "encryption")?;
        let keyring = KeyringPlace::at(&settings.keyring)
            .map_err(|error| problem(config, "encryption.keyring", error.to_string()))?;
        let source = settings.master_key.as_deref().map(str::parse).transpose();
        let source = source
            .map_err(|error: EncryptionError| problem(config, "encryption.master_key", error.to_string()))?;
        Ok(Self { config, settings, keyring, source })
    }

    /// The master key.
    ///
    /// # Errors
    /// When no place of it was said, or the place does not give it.
    pub fn master(&self) -> Result<MasterKey, RunnerError> {
        let source = self.source.as_ref().ok_or_else(|| {
            let message = "the place of the master key is not set: set it, or FULMEN_KEY_SOURCE, to file:/path, env:NAME or \
                           command:program";
            problem(self.config, "encryption.master_key", message)
        })?;
        Ok(source.load()?)
    }

    /// The keyring, opened.
    ///
    /// # Errors
    /// When there is none, or the master key does not open it.
    pub fn open(&self) -> Result<Arc<Keyring>, RunnerError> {
        Ok(Arc::new(self.keyring.open(&[self.master()?])?))
    }
}

/// The keys of a run with this configuration; none where nothing of it is encrypted. The master key is asked for only where
/// something is.
///
/// # Errors
/// When a value of the section names no place, or a key is missing or wrong.
pub fn run_encryption(config: &Config) -> Result<Option<RunEncryption>, RunnerError> {
    let encryption = Encryption::of(config)?;
    let encrypted = encryption.settings.of_runs();
    if encrypted.is_none() && !encryption.settings.cache {
        return Ok(None);
    }
    Ok(Some(RunEncryption { keyring: encryption.open()?, encrypted }))
}
