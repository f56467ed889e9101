//! Keyrings: rotation, damage, what the age tool makes of them.

use std::io::Read as _;

use fulmen_encryption::{EncryptionError, KeySource, Keyring, MasterKey};

use crate::{decrypt, encrypt};

#[test]
fn a_rotated_keyring_opens_what_was_written_before_and_the_old_master_does_not_open_it() {
    let (old, new) = (MasterKey::generate(), MasterKey::generate());
    let mut keyring = Keyring::generate();
    let before = encrypt(&keyring, "a", b"before");
    keyring.add_data_key();
    let after = encrypt(&keyring, "a", b"after");
    let sealed = keyring.seal(std::slice::from_ref(&new)).unwrap();
    let opened = Keyring::unseal("keyring", &sealed, &[old.clone(), new]).unwrap();
    assert_eq!(opened.data_keys(), keyring.data_keys());
    assert_eq!(decrypt(&opened, "a", &before).unwrap(), b"before");
    assert_eq!(decrypt(&opened, "a", &after).unwrap(), b"after");
    let error = Keyring::unseal("keyring", &sealed, &[old]).unwrap_err();
    assert!(
        matches!(error, EncryptionError::WrongKey { .. }) && error.to_string().starts_with("keyring"),
        "{error}"
    );
}

#[test]
fn new_files_are_written_under_the_newest_key_only() {
    let mut keyring = Keyring::generate();
    let first = keyring.clone();
    keyring.add_data_key();
    let cipher = encrypt(&keyring, "a", b"1");
    assert!(matches!(decrypt(&first, "a", &cipher), Err(EncryptionError::WrongKey { .. })));
}

#[test]
fn several_masters_open_a_keyring_and_none_at_all_is_refused() {
    let masters = [MasterKey::generate(), MasterKey::generate()];
    let keyring = Keyring::generate();
    let sealed = keyring.seal(&masters).unwrap();
    for master in masters {
        assert_eq!(Keyring::unseal("keyring", &sealed, &[master]).unwrap().data_keys(), keyring.data_keys());
    }
    assert!(matches!(keyring.seal(&[]), Err(EncryptionError::NoRecipient)));
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_keyring_is_found_and_named() {
    let master = [MasterKey::generate()];
    let sealed = Keyring::generate().seal(&master).unwrap();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            let error = Keyring::unseal("the keyring", &changed, &master)
                .expect_err(&format!("bit {bit} of byte {at}"));
            assert!(error.to_string().starts_with("the keyring: "), "{error}");
        }
        assert!(Keyring::unseal("the keyring", &sealed[..at], &master).is_err(), "{at} bytes");
    }
}

#[test]
fn age_alone_opens_a_keyring_and_what_lies_under_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master");
    let master = MasterKey::generate();
    master.write(&path).unwrap();
    let keyring = Keyring::generate();
    let sealed = keyring.seal(&[KeySource::File(path.clone()).load().unwrap()]).unwrap();
    let open = |identities: &str, cipher: &[u8]| {
        let identity: age::x25519::Identity =
            identities.lines().find(|line| !line.starts_with('#')).unwrap().parse().unwrap();
        let mut text = String::new();
        let mut reader = age::Decryptor::new(cipher).unwrap().decrypt([&identity as _].into_iter()).unwrap();
        reader.read_to_string(&mut text).unwrap();
        text
    };
    let keys = open(&std::fs::read_to_string(&path).unwrap(), &sealed);
    assert_eq!(open(&keys, &encrypt(&keyring, "a/b", b"content")), "fulmen-encrypted-1 a/b\ncontent");
}

#[test]
fn debug_output_holds_no_secret() {
    let keyring = Keyring::generate();
    let shown = format!("{keyring:?}");
    assert!(shown.contains(&keyring.data_keys()[0].id) && !shown.contains("AGE-SECRET"), "{shown}");
}
