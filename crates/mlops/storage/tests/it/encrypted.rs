//! Encrypted stores.

use std::{fs, io::Read as _, sync::Arc};

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

#[test]
fn the_length_of_a_content_is_known_without_reading_it_and_any_part_of_it_is_read_alone() {
    let (folder, keyring) = (tempfile::tempdir().unwrap(), Arc::new(Keyring::generate()));
    let keys = ScopedKeyring::new(keyring, "run");
    for store in [ArtifactStore::new(folder.path().join("artifacts")), ArtifactStore::memory()] {
        let store = store.encrypted(keys.clone());
        // Around the borders of chunks, which the line with the name shifts.
        for length in [0, 1, 65_000, 65_536, 65_537, 131_072, 200_000] {
            let content: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            store.put_bytes("a/b.bin", &content).unwrap();
            assert_eq!(store.content_size("a/b.bin").unwrap(), length);
            for from in [0, 1, 65_535, 65_536, 150_000].into_iter().filter(|from| *from <= length) {
                let mut reader = store.reader("a/b.bin").unwrap();
                reader.skip(from).unwrap();
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest).unwrap();
                assert!(rest == content[usize::try_from(from).unwrap()..], "{length} from {from}");
            }
        }
    }
}

#[test]
fn one_folder_alone_can_be_encrypted() {
    let (folder, keyring) = (tempfile::tempdir().unwrap(), Arc::new(Keyring::generate()));
    let plain = ArtifactStore::new(folder.path().join("artifacts"));
    let store = plain.clone().encrypted_in("checkpoints", ScopedKeyring::new(keyring, "run"));
    for (name, encrypted) in [("checkpoints/a/b", true), ("checkpoints.txt", false), ("metrics.jsonl", false)]
    {
        store.put_bytes(name, b"content").unwrap();
        let mut stored = Vec::new();
        plain.reader(name).unwrap().read_to_end(&mut stored).unwrap();
        assert_eq!(is_encrypted(&stored), encrypted, "{name}");
        let mut read = Vec::new();
        store.reader(name).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, b"content");
        store.verify(name).unwrap();
    }
}
