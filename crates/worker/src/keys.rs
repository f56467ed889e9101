//! The keys that a run was given, for what its configuration wants encrypted.

use std::sync::Arc;

use fulmen_base::{Error, Result};
use fulmen_contracts::RunSpec;
use fulmen_contracts::settings::EncryptionConfig;
use fulmen_encryption::{Keyring, ScopedKeyring};

/// How errors name what the data keys came in.
const GIVEN: &str = "the data keys of the run specification";

/// Keys by what they are for.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// Of checkpoints; none: these are not encrypted.
    pub(crate) checkpoints: Option<ScopedKeyring>,
    /// Of the cache of prepared data.
    pub(crate) cache: Option<Arc<Keyring>>,
}

impl Keys {
    /// Those of `spec`. What is to be encrypted is never written in clear because a key is missing: that is an error.
    pub(crate) fn of(spec: &RunSpec, settings: &EncryptionConfig) -> Result<Self> {
        let of_runs = settings.of_runs();
        if of_runs.is_none() && !settings.cache {
            return Ok(Self::default());
        }
        let given = spec.keys.as_ref().ok_or_else(|| {
            Error::config(
                "encryption",
                "something is to be encrypted, and the run was given no keys: start it with `fulmen`",
            )
        })?;
        let keyring = Arc::new(Keyring::parse(GIVEN, given.data_keys.expose())?);
        Ok(Self {
            checkpoints: of_runs.map(|_| ScopedKeyring::new(keyring.clone(), given.run_id.clone())),
            cache: settings.cache.then_some(keyring),
        })
    }
}
