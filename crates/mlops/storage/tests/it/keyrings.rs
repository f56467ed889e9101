//! Keyrings, in files and in objects.

use std::fs;

use fulmen_encryption::{Keyring, MasterKey};
use fulmen_storage::{KeyringPlace, StorageError};
use fulmen_utils::testing::skipped;

use crate::s3_server::{endpoint, variables};

fn is_made_once_and_rotated_in_place(place: &KeyringPlace) {
    let (old, new) = ([MasterKey::generate()], [MasterKey::generate()]);
    let error = place.open(&old).unwrap_err();
    assert!(
        matches!(error, StorageError::Uri { .. }) && error.to_string().contains("fulmen keys generate"),
        "{error}"
    );
    assert!(place.create(&old).unwrap());
    let first = place.open(&old).unwrap().data_keys();
    assert!(!place.create(&old).unwrap(), "a keyring is never written over");
    assert_eq!(place.open(&old).unwrap().data_keys(), first);

    place.change(&old, &new, Keyring::add_data_key).unwrap();
    assert!(place.open(&old).is_err());
    let keys = place.open(&new).unwrap().data_keys();
    assert_eq!((keys.len(), &keys[0]), (2, &first[0]));
    assert!(place.change(&old, &new, |_| ()).is_err());
    assert_eq!(place.open(&new).unwrap().data_keys(), keys);
}

#[test]
fn a_keyring_in_a_file_is_made_once_and_rotated_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let uri = folder.path().join("deep/keyring.age").display().to_string();
    is_made_once_and_rotated_in_place(&KeyringPlace::at(&uri).unwrap());
}

#[test]
fn a_keyring_in_an_object_is_made_once_and_rotated_in_place() {
    let endpoint = match endpoint() {
        Ok(endpoint) => endpoint,
        Err(why) => return skipped(why),
    };
    let uri = format!("s3://fulmen-test/{}/keyring.age", fulmen_utils::ids::run_id());
    let place = KeyringPlace::at_with(&uri, variables(endpoint)).unwrap();
    is_made_once_and_rotated_in_place(&place);
    // Two that change it at once: one is told that it came too late, and nothing is lost.
    let master = [MasterKey::generate()];
    let uri = format!("s3://fulmen-test/{}/keyring.age", fulmen_utils::ids::run_id());
    let place = KeyringPlace::at_with(&uri, variables(endpoint)).unwrap();
    place.create(&master).unwrap();
    let error = place
        .change(&master, &master, |_| drop(place.change(&master, &master, Keyring::add_data_key).unwrap()))
        .unwrap_err();
    assert!(error.to_string().contains("try again"), "{error}");
    assert_eq!(place.open(&master).unwrap().data_keys().len(), 2);
}

#[test]
fn a_damaged_keyring_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.age");
    let uri = path.display().to_string();
    let master = [MasterKey::generate()];
    let place = KeyringPlace::at(&uri).unwrap();
    place.create(&master).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() - 40;
    bytes[middle] ^= 4;
    fs::write(&path, bytes).unwrap();
    let error = place.open(&master).unwrap_err();
    assert!(matches!(error, StorageError::Encryption(_)) && error.to_string().contains(&uri), "{error}");
}
