//! The keyring of a store: its data keys, wrapped by the master key.
//!
//! It is one age file, so that it changes in one step and a flipped bit in it is found. Inside is a list of age identities, oldest
//! first, each under a comment with its id and the second it was made:
//!
//! ```text
//! # fulmen keyring 1
//! # key 3f0c9a517be2d468 1764412345
//! AGE-SECRET-KEY-1…
//! ```

use std::fmt;
use std::io::{Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use age::secrecy::ExposeSecret as _;
use age::x25519::{Identity, Recipient};
use age::{Decryptor, Encryptor};
use zeroize::Zeroizing;

use crate::{DecryptingReader, EncryptingWriter, EncryptionError, MasterKey};

/// First line of the list of data keys.
const HEAD: &str = "# fulmen keyring 1";
/// More than a key and the line about it have, in bytes.
const KEY_BYTES: usize = 128;

/// The data keys of a store.
#[derive(Clone)]
pub struct Keyring {
    /// Oldest first; never empty.
    keys: Vec<DataKey>,
}

#[derive(Clone)]
struct DataKey {
    info: DataKeyInfo,
    identity: Identity,
    recipient: Recipient,
}

/// What may be told of a data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeyInfo {
    /// Sixteen hexadecimal digits.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
}

impl Keyring {
    /// A keyring with one new data key.
    #[must_use]
    pub fn generate() -> Self {
        let mut keyring = Self { keys: Vec::new() };
        keyring.add_data_key();
        keyring
    }

    /// Makes a data key that files are written under from now on. Older ones stay, for the files that are there.
    pub fn add_data_key(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        self.keys.push(DataKey::new(Identity::generate(), now));
    }

    /// The data keys, oldest first; files are written under the last.
    #[must_use]
    pub fn data_keys(&self) -> Vec<DataKeyInfo> {
        self.keys.iter().map(|key| key.info.clone()).collect()
    }

    /// The keyring as a file that each of `masters` opens.
    ///
    /// # Errors
    /// When no master key is given.
    pub fn seal(&self, masters: &[MasterKey]) -> Result<Vec<u8>, EncryptionError> {
        let text = self.expose();
        let recipients: Vec<Recipient> = masters.iter().map(|master| master.identity().to_public()).collect();
        let encryptor = Encryptor::with_recipients(recipients.iter().map(|one| one as _))
            .map_err(|_| EncryptionError::NoRecipient)?;
        let written = encryptor.wrap_output(Vec::new()).and_then(|mut writer| {
            writer.write_all(text.as_bytes())?;
            writer.finish()
        });
        written.map_err(|source| EncryptionError::Io { file: "keyring".to_owned(), source })
    }

    /// Opens a keyring that one of `masters` wrapped. Errors name it `file`.
    ///
    /// # Errors
    /// When none of the keys opens it, or it is damaged.
    pub fn unseal(file: &str, bytes: &[u8], masters: &[MasterKey]) -> Result<Self, EncryptionError> {
        let decryptor = Decryptor::new_buffered(bytes).map_err(|error| EncryptionError::head(file, error))?;
        let mut reader = decryptor
            .decrypt(masters.iter().map(|master| master.identity() as _))
            .map_err(|error| EncryptionError::head(file, error))?;
        let mut text = Zeroizing::new(String::new());
        reader.read_to_string(&mut text).map_err(|error| EncryptionError::from_io(file, error))?;
        Self::parse(file, &text)
    }

    /// The data keys themselves, as they lie in a keyring: for another process, over a pipe, and for no file, log or message.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        // Of its final length from the start: a text that grows leaves copies of itself behind.
        let mut text = Zeroizing::new(String::with_capacity(HEAD.len() + 1 + self.keys.len() * KEY_BYTES));
        text.push_str(HEAD);
        text.push('\n');
        for key in &self.keys {
            text.push_str(&format!("# key {} {}\n", key.info.id, key.info.created));
            text.push_str(key.identity.to_string().expose_secret());
            text.push('\n');
        }
        text
    }

    /// Reads what [`expose`](Self::expose) gave. Errors name it `file`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(file: &str, text: &str) -> Result<Self, EncryptionError> {
        let damaged = || EncryptionError::Damaged { file: file.to_owned() };
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(damaged());
        }
        let (mut keys, mut created) = (Vec::new(), 0);
        for line in lines {
            match line.strip_prefix("# key ") {
                Some(about) => {
                    created =
                        about.split(' ').nth(1).and_then(|time| time.parse().ok()).ok_or_else(damaged)?;
                }
                None => keys.push(DataKey::new(line.parse().map_err(|_| damaged())?, created)),
            }
        }
        if keys.is_empty() { Err(damaged()) } else { Ok(Self { keys }) }
    }

    /// A writer that encrypts what it is given, bound to `name`, and hands it to `output`. Its
    /// [`finish`](EncryptingWriter::finish) has to be called.
    ///
    /// # Errors
    /// A name that is no single line, or an output that fails.
    pub fn encrypt<W: Write>(&self, name: &str, output: W) -> Result<EncryptingWriter<W>, EncryptionError> {
        let recipient = self.keys.last().map(|key| &key.recipient).ok_or(EncryptionError::NoRecipient)?;
        EncryptingWriter::new(name, recipient, output)
    }

    /// A reader of what was written under `name`. Errors name it `file`. What it yields is authentic chunk by chunk, and
    /// complete once it has come to the end.
    ///
    /// # Errors
    /// A file that is not encrypted, that no data key opens, that is damaged, or that was written under another name.
    pub fn decrypt<R: Read>(
        &self,
        name: &str,
        file: &str,
        input: R,
    ) -> Result<DecryptingReader<R>, EncryptionError> {
        let reader = self.decrypt_any(file, input)?;
        if reader.name() == name {
            return Ok(reader);
        }
        let written_as = reader.name().to_owned();
        Err(EncryptionError::OtherName { file: file.to_owned(), written_as })
    }

    /// As [`decrypt`](Self::decrypt), whatever the name that it was written under: [`DecryptingReader::name`] tells it.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt), but for the name.
    pub fn decrypt_any<R: Read>(&self, file: &str, input: R) -> Result<DecryptingReader<R>, EncryptionError> {
        // The newest first: it is most likely the one.
        DecryptingReader::new(file, self.keys.iter().rev().map(|key| &key.identity), input)
    }
}

impl DataKey {
    fn new(identity: Identity, created: u64) -> Self {
        let recipient = identity.to_public();
        let id = blake3::hash(recipient.to_string().as_bytes()).to_hex()[..16].to_owned();
        Self { info: DataKeyInfo { id, created }, identity, recipient }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keyring").field("data_keys", &self.data_keys()).finish_non_exhaustive()
    }
}
