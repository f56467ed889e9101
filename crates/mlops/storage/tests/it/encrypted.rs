//! Encrypted stores.

use std::{fs, sync::Arc};

use fulmen_encryption::{EncryptionError, Keyring, ScopedKeyring, is_encrypted};
use fulmen_storage::{ArtifactStore, StorageError};

use crate::conformance::{all, content};

fn store(folder: &tempfile::TempDir, keyring: &Arc<Keyring>) -> ArtifactStore {
    ArtifactStore::new(folder.path().join("artifacts")).encrypted(ScopedKeyring::new(keyring.clone(), "run"))
}

fn fault(error: StorageError) -> EncryptionError {
    match error {
        StorageError::Encryption(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_encrypted_store_does_what_a_store_has_to() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::generate());
    let count = std::cell::Cell::new(0);
    all(&|| {
        count.set(count.get() + 1);
        ArtifactStore::new(folder.path().join(count.get().to_string()).join("artifacts"))
            .encrypted(ScopedKeyring::new(keyring.clone(), "run"))
    });
    all(&|| ArtifactStore::memory().encrypted(ScopedKeyring::new(keyring.clone(), "run")));
}

#[test]
fn nothing_of_the_content_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, &Arc::new(Keyring::generate()));
    store.put_bytes("secret", &b"patient 4711 ".repeat(1000)).unwrap();
    let bytes = fs::read(folder.path().join("artifacts/secret")).unwrap();
    assert!(is_encrypted(&bytes));
    assert!(!bytes.windows(12).any(|window| window == b"patient 4711"));
}

#[test]
fn a_flipped_bit_a_swap_and_a_plain_file_are_found_also_where_the_manifest_was_changed_too() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::generate());
    let store = store(&folder, &keyring);
    store.put_bytes("a", b"one").unwrap();
    store.put_bytes("b", b"two").unwrap();
    let path = folder.path().join("artifacts/a");
    let original = fs::read(&path).unwrap();

    let mut bytes = original.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(store.verify("a"), Err(StorageError::Digest { .. })));
    fs::remove_file(folder.path().join("artifacts.b3")).unwrap();
    let error = store.verify("a").unwrap_err();
    assert!(error.to_string().contains("artifacts/a: "), "{error}");
    assert!(matches!(fault(error), EncryptionError::Damaged { .. }));

    fs::copy(folder.path().join("artifacts/b"), &path).unwrap();
    assert!(matches!(fault(store.verify("a").unwrap_err()), EncryptionError::OtherName { .. }));
    let other_run = ArtifactStore::new(folder.path().join("artifacts"))
        .encrypted(ScopedKeyring::new(keyring.clone(), "another run"));
    other_run.put_bytes("a", b"one").unwrap();
    assert!(matches!(fault(store.verify("a").unwrap_err()), EncryptionError::OtherName { .. }));
    fs::write(&path, "plain").unwrap();
    assert!(matches!(fault(store.reader("a").unwrap_err()), EncryptionError::NotEncrypted { .. }));
    fs::write(&path, &original).unwrap();
    assert_eq!(content(&store, "a"), b"one");
}

#[test]
fn another_keyring_opens_nothing_and_a_reader_without_one_sees_the_stored_bytes() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder, &Arc::new(Keyring::generate())).put_bytes("a", b"one").unwrap();
    let other = store(&folder, &Arc::new(Keyring::generate()));
    assert!(matches!(fault(other.reader("a").unwrap_err()), EncryptionError::WrongKey { .. }));
    let plain = ArtifactStore::new(folder.path().join("artifacts"));
    assert!(is_encrypted(&content(&plain, "a")));
    plain.verify("a").unwrap();
}
