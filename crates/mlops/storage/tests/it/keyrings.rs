//! Keyrings in files.

use std::fs;

use fulmen_encryption::MasterKey;
use fulmen_storage::{StorageError, change_keyring, create_keyring, open_keyring};

#[test]
fn a_keyring_is_made_once_and_rotated_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let uri = folder.path().join("deep/keyring.age").display().to_string();
    let (old, new) = ([MasterKey::generate()], [MasterKey::generate()]);
    let error = open_keyring(&uri, &old).unwrap_err();
    assert!(
        matches!(error, StorageError::Uri { .. }) && error.to_string().contains("fulmen keys generate"),
        "{error}"
    );
    assert!(create_keyring(&uri, &old).unwrap());
    let first = open_keyring(&uri, &old).unwrap().data_keys();
    assert!(!create_keyring(&uri, &old).unwrap(), "a keyring is never written over");
    assert_eq!(open_keyring(&uri, &old).unwrap().data_keys(), first);

    change_keyring(&uri, &old, &new, |keyring| keyring.add_data_key()).unwrap();
    assert!(open_keyring(&uri, &old).is_err());
    let keys = open_keyring(&uri, &new).unwrap().data_keys();
    assert_eq!((keys.len(), &keys[0]), (2, &first[0]));
    assert!(change_keyring(&uri, &old, &new, |_| ()).is_err());
    assert_eq!(open_keyring(&uri, &new).unwrap().data_keys(), keys);
}

#[test]
fn a_damaged_keyring_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.age");
    let uri = path.display().to_string();
    let master = [MasterKey::generate()];
    create_keyring(&uri, &master).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() - 40;
    bytes[middle] ^= 4;
    fs::write(&path, bytes).unwrap();
    let error = open_keyring(&uri, &master).unwrap_err();
    assert!(matches!(error, StorageError::Encryption(_)) && error.to_string().contains(&uri), "{error}");
}
