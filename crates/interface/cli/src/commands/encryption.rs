//! What the configuration says of encryption, and the stores that follow from it.

use std::sync::Arc;

use fulmen_configuration::{Config, to_json};
use fulmen_contracts::settings::EncryptionConfig;
use fulmen_encryption::{KeySource, Keyring, MasterKey};
use fulmen_runner::{ConfigProblem, Problems};
use fulmen_storage::{ArtifactStore, KeyringPlace};
use fulmen_tracking::Run;
use serde::de::DeserializeOwned;

use crate::error::CliError;

/// A section of the configuration, typed.
///
/// # Errors
/// When a value does not fit: the message is placed where the section was written.
pub(crate) fn section<T: DeserializeOwned + Default>(config: &Config, key: &str) -> Result<T, CliError> {
    let Some(node) = config.value(key)?.filter(|node| !node.is_null()) else { return Ok(T::default()) };
    serde_json::from_value(to_json(&node)).map_err(|error| problem(config, key, error.to_string()))
}

/// A problem with what stands at `key`.
pub(crate) fn problem(config: &Config, key: &str, message: String) -> CliError {
    Problems(vec![ConfigProblem::placed(config, key, message)]).into()
}

/// The section, and its values put to use.
pub(crate) struct Encryption {
    /// The section itself.
    pub(crate) settings: EncryptionConfig,
    /// Where the keyring is.
    pub(crate) keyring: KeyringPlace,
    /// Where the master key is, if that was said.
    pub(crate) source: Option<KeySource>,
}

impl Encryption {
    /// Reads the section `encryption`.
    ///
    /// # Errors
    /// When a value of it names no place.
    pub(crate) fn of(config: &Config) -> Result<Self, CliError> {
        let settings: EncryptionConfig = section(config, "encryption")?;
        let keyring = KeyringPlace::at(&settings.keyring)
            .map_err(|error| problem(config, "encryption.keyring", error.to_string()))?;
        let source = settings.master_key.as_deref().map(str::parse).transpose().map_err(
            |error: fulmen_encryption::EncryptionError| {
                problem(config, "encryption.master_key", error.to_string())
            },
        )?;
        Ok(Self { settings, keyring, source })
    }

    /// The master key.
    ///
    /// # Errors
    /// When no place of it was said, or the place does not give it.
    pub(crate) fn master(&self) -> Result<MasterKey, CliError> {
        let source = self.source.as_ref().ok_or_else(|| {
            CliError::usage(
                "the place of the master key is not set: set encryption.master_key, or FULMEN_KEY_SOURCE, to file:/path, \
                 env:NAME or command:program",
            )
        })?;
        Ok(source.load()?)
    }

    /// The keyring, opened.
    ///
    /// # Errors
    /// When there is none, or the master key does not open it.
    pub(crate) fn open(&self) -> Result<Arc<Keyring>, CliError> {
        Ok(Arc::new(self.keyring.open(&[self.master()?])?))
    }
}

/// The artifacts of a run, encrypted where the configuration says so.
///
/// # Errors
/// When its URI names no store that this program speaks to, or a key is missing.
pub(crate) fn artifacts_of(run: &Run, config: &Config) -> Result<ArtifactStore, CliError> {
    let store = ArtifactStore::open(&run.info.artifact_uri)?;
    let encryption = Encryption::of(config)?;
    Ok(if encryption.settings.artifacts {
        store.encrypted(encryption.open()?, &run.info.run_id)
    } else {
        store
    })
}
