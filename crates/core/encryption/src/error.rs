//! What can go wrong with keys and encrypted files. No message holds a key.

use std::io;
use std::path::PathBuf;

use fulmen_utils::atomic::WriteError;

/// Why a key or an encrypted file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptionError {
    /// The text says of no key where it is.
    #[error(
        "'{text}' does not say where the master key is: write file:/path/to/key, env:NAME or command:program --flag"
    )]
    Source {
        /// The text.
        text: String,
    },
    /// The place of a key does not give it.
    #[error("the master key at {place} cannot be read: {reason}")]
    NoKey {
        /// Where it was looked for.
        place: String,
        /// What is the matter.
        reason: String,
    },
    /// What is at the place of a key is none.
    #[error(
        "what is at {place} is no key: a line AGE-SECRET-KEY-1… is expected, as `fulmen keys generate` or `age-keygen` writes it"
    )]
    NotAKey {
        /// Where it was looked for.
        place: String,
    },
    /// No key was given where one is needed.
    #[error("no master key is given: at least one has to wrap the data keys")]
    NoRecipient,
    /// None of the keys at hand opens the file.
    #[error(
        "{file}: none of the keys at hand opens it: it was written under another key, or its head is damaged"
    )]
    WrongKey {
        /// The file.
        file: String,
    },
    /// The file is not as it was written.
    #[error("{file}: the content was changed, cut off or damaged: restore it from a copy")]
    Damaged {
        /// The file.
        file: String,
    },
    /// The file is not encrypted.
    #[error(
        "{file}: is not encrypted, though its store is: it was written before encryption was turned on, or put there by another program; put it again, or read it with encryption turned off"
    )]
    NotEncrypted {
        /// The file.
        file: String,
    },
    /// The file was written under another name.
    #[error(
        "{file}: was written as '{written_as}', not under this name: two files were swapped, or one was copied; put it under the name it was written as"
    )]
    OtherName {
        /// The file.
        file: String,
        /// The name that it was written under.
        written_as: String,
    },
    /// A name that cannot be bound to a file.
    #[error("'{name}': a name of an encrypted file is one line of at most 4096 bytes")]
    Name {
        /// The name.
        name: String,
    },
    /// Something else than a file or a folder.
    #[error("{}: is neither a file nor a folder, and cannot be encrypted", path.display())]
    Special {
        /// Where.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl EncryptionError {
    /// What age says of a head that it cannot use.
    pub(crate) fn head(file: &str, error: age::DecryptError) -> Self {
        let file = file.to_owned();
        match error {
            age::DecryptError::NoMatchingKeys => Self::WrongKey { file },
            age::DecryptError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                Self::from_io(&file, source)
            }
            _ => Self::Damaged { file },
        }
    }

    /// What the system, or age within a stream, says.
    pub(crate) fn from_io(file: &str, source: io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(error) => error,
            Err(source) => match source.kind() {
                // So age reports a chunk that is not authentic, and a stream that ends too early.
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    Self::Damaged { file: file.to_owned() }
                }
                _ => Self::Io { file: file.to_owned(), source },
            },
        }
    }
}
