//! Encryption at rest: age files under data keys, which a master key wraps.
//!
//! ```text
//! master key (a file, an environment variable, a command)
//!    └─ opens ─► keyring: an age file that holds the data keys
//!                   └─ each opens ─► the files written under it, age files too
//! ```
//!
//! The file format is age's, version 1 (<https://age-encryption.org/v1>): X25519 wraps a key of the file's own, ChaCha20-Poly1305
//! in the STREAM construction encrypts in chunks of 64 KiB. No cryptography is made here. The first line of what is encrypted
//! names the file, so that one file cannot stand in for another. A keyring is a list of age identities: `age -d` opens it, and what
//! it holds opens the files.
//!
//! A change of the master key re-wraps the keyring alone. Data that is there stays under the data key it was written with; new
//! files take the newest.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

mod error;
mod folder;
mod keyring;
mod master;
mod scoped;
mod stream;

pub use error::EncryptionError;
pub use folder::{decrypt_folder, encrypt_folder};
pub use keyring::{DataKeyInfo, Keyring};
pub use master::{KeySource, MasterKey};
pub use scoped::ScopedKeyring;
pub use stream::{DecryptingReader, EncryptingWriter, is_encrypted};
