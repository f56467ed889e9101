//! What encrypted files and keyrings promise.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

mod files;
mod folders;
mod keyrings;

use std::io::{Read as _, Write as _};

use fulmen_encryption::{EncryptionError, Keyring};

fn encrypt(keyring: &Keyring, name: &str, plain: &[u8]) -> Vec<u8> {
    let mut writer = keyring.encrypt(name, Vec::new()).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn decrypt(keyring: &Keyring, name: &str, cipher: &[u8]) -> Result<Vec<u8>, EncryptionError> {
    let mut reader = keyring.decrypt(name, "the file", cipher)?;
    let mut plain = Vec::new();
    match reader.read_to_end(&mut plain) {
        Ok(_) => Ok(plain),
        Err(error) => Err(error.downcast::<EncryptionError>().unwrap()),
    }
}
