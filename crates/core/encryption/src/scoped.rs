//! A keyring for the files of one owner.

use std::io::{Read, Write};
use std::sync::Arc;

use crate::stream::content_length;
use crate::{DecryptingReader, EncryptingWriter, EncryptionError, Keyring};

/// A keyring for the files of one owner, such as a run: each is bound to its name and to that owner, so that neither another file of
/// the same owner nor one of the same name can stand in for it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ScopedKeyring {
    keyring: Arc<Keyring>,
    scope: String,
}

impl ScopedKeyring {
    /// `keyring` for the files of `scope`: for those of a run its id.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, scope: impl Into<String>) -> Self {
        Self { keyring, scope: scope.into() }
    }

    /// The data keys.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// What the files belong to.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// As [`Keyring::encrypt`], bound to the owner too.
    ///
    /// # Errors
    /// As [`Keyring::encrypt`].
    pub fn encrypt<W: Write>(&self, name: &str, output: W) -> Result<EncryptingWriter<W>, EncryptionError> {
        self.keyring.encrypt(&self.bound(name), output)
    }

    /// As [`Keyring::decrypt`], for what was written as `name` of this owner.
    ///
    /// # Errors
    /// As [`Keyring::decrypt`].
    pub fn decrypt<R: Read>(
        &self,
        name: &str,
        file: &str,
        input: R,
    ) -> Result<DecryptingReader<R>, EncryptionError> {
        self.keyring.decrypt(&self.bound(name), file, input)
    }

    /// Length in bytes of the content of a file that is `length` bytes long, begins with `head` (its first 4096 bytes, or all of it), and
    /// was written as `name`. It is what the file says: only who reads it to its end knows. None where it is not encrypted.
    #[must_use]
    pub fn content_length(&self, name: &str, head: &[u8], length: u64) -> Option<u64> {
        content_length(&self.bound(name), head, length)
    }

    fn bound(&self, name: &str) -> String {
        format!("{}/{name}", self.scope)
    }
}
