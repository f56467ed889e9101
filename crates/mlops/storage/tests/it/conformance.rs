//! What every artifact store does, whatever is below it. Each store's tests call [`all`] with a maker of empty stores.

use std::io::{self, Read, Write as _};

use fulmen_storage::{ArtifactStore, StorageError};

/// All that is asked of a store.
pub(crate) fn all(empty: &dyn Fn() -> ArtifactStore) {
    a_written_file_is_read_back_listed_and_verified(&empty());
    a_file_replaces_the_one_before(&empty());
    names_are_kept_to_the_letter(&empty());
    a_listing_shows_one_level_and_files_show_all(&empty());
    what_is_absent_is_reported_as_such(&empty());
    deleting_takes_a_file_or_a_folder_and_no_more(&empty());
    bad_names_are_refused_everywhere(&empty());
    failed_content_and_a_dropped_writer_leave_what_was_there(&empty());
    a_large_file_comes_back_as_it_was(&empty());
    many_writers_do_not_disturb_each_other(&empty());
}

fn names(store: &ArtifactStore, folder: &str) -> (Vec<String>, Vec<String>) {
    let listing = store.list(folder).unwrap();
    (
        listing.folders.iter().map(|folder| folder.name.to_string()).collect(),
        listing.files.iter().map(|file| file.name.to_string()).collect(),
    )
}

pub(crate) fn content(store: &ArtifactStore, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.reader(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn a_written_file_is_read_back_listed_and_verified(store: &ArtifactStore) {
    assert!(store.files().unwrap().is_empty() && names(store, "") == (vec![], vec![]));
    let artifact = store.put_bytes("model/weights.bin", b"weights").unwrap();
    assert_eq!(content(store, "model/weights.bin"), b"weights");
    assert_eq!(store.info("model/weights.bin").unwrap(), artifact);
    assert_eq!(store.verify("model/weights.bin").unwrap(), artifact.digest);
    assert!(artifact.digest.is_some());
    store.put_bytes("empty", b"").unwrap();
    assert_eq!(content(store, "empty"), b"");
    store.verify("empty").unwrap();
}

fn a_file_replaces_the_one_before(store: &ArtifactStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source");
    std::fs::write(&path, "new").unwrap();
    store.put_bytes("a", b"old content, longer").unwrap();
    store.put_file("a", &path).unwrap();
    assert_eq!(content(store, "a"), b"new");
    store.verify("a").unwrap();
    let copy = folder.path().join("deep/copy");
    assert_eq!(store.get_file("a", &copy).unwrap(), 3);
    assert_eq!(std::fs::read(copy).unwrap(), b"new");
    assert!(matches!(store.put_file("a", folder.path()), Err(StorageError::Type { .. })));
    assert!(matches!(store.put_file("a", &folder.path().join("none")), Err(StorageError::Missing { .. })));
}

fn names_are_kept_to_the_letter(store: &ArtifactStore) {
    for name in
        ["a b", "percent%25.txt", "ünïcode/文.bin", "a+b&c=d;e,f~g#h?i", "epoch=3-step=96/x", ".hidden"]
    {
        store.put_bytes(name, name.as_bytes()).unwrap();
        assert_eq!(content(store, name), name.as_bytes());
        assert!(store.files().unwrap().iter().any(|file| file.name.as_str() == name), "{name}");
        store.delete(name).unwrap();
    }
    assert!(store.files().unwrap().is_empty());
}

fn a_listing_shows_one_level_and_files_show_all(store: &ArtifactStore) {
    for name in ["a/b/c", "a/b/d", "a/e", "ab", "f"] {
        store.put_bytes(name, b"1").unwrap();
    }
    assert_eq!(names(store, ""), (vec!["a".into()], vec!["ab".into(), "f".into()]));
    assert_eq!(names(store, "a"), (vec!["a/b".into()], vec!["a/e".into()]));
    let all: Vec<_> = store.files().unwrap().iter().map(|file| file.name.to_string()).collect();
    assert_eq!(all, ["a/b/c", "a/b/d", "a/e", "ab", "f"]);
    assert!(matches!(store.list("f"), Err(StorageError::Type { .. })));
}

fn what_is_absent_is_reported_as_such(store: &ArtifactStore) {
    store.put_bytes("a/b", b"1").unwrap();
    let error = store.reader("none").unwrap_err();
    assert!(matches!(error, StorageError::Missing { .. }) && !error.is_transient(), "{error:?}");
    assert!(error.to_string().contains(&store.uri()) && error.to_string().contains("none"), "{error}");
    assert!(matches!(store.info("a/none"), Err(StorageError::Missing { .. })));
    assert!(matches!(store.verify("none"), Err(StorageError::Missing { .. })));
    assert!(matches!(store.list("none"), Err(StorageError::Missing { .. })));
    assert!(matches!(store.delete("none"), Err(StorageError::Missing { .. })));
}

fn deleting_takes_a_file_or_a_folder_and_no_more(store: &ArtifactStore) {
    for name in ["a/b", "a/c/d", "ab", "e"] {
        store.put_bytes(name, b"1").unwrap();
    }
    store.delete("a").unwrap();
    store.delete("e").unwrap();
    assert_eq!(names(store, ""), (vec![], vec!["ab".into()]));
    store.delete_all().unwrap();
    store.delete_all().unwrap();
    assert!(store.files().unwrap().is_empty());
}

fn bad_names_are_refused_everywhere(store: &ArtifactStore) {
    for name in ["", "/a", "..", "a/../../b", "a//b", "a/", "a\\b", "a\0b"] {
        assert!(matches!(store.put_bytes(name, b"1"), Err(StorageError::Name { .. })), "{name:?}");
        assert!(matches!(store.reader(name), Err(StorageError::Name { .. })), "{name:?}");
        assert!(matches!(store.delete(name), Err(StorageError::Name { .. })), "{name:?}");
        assert!(name.is_empty() || matches!(store.list(name), Err(StorageError::Name { .. })), "{name:?}");
    }
    assert!(store.files().unwrap().is_empty());
}

/// Yields some megabytes, then fails.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0 += buffer.len();
        if self.0 > 20 << 20 {
            return Err(io::Error::other("connection lost"));
        }
        buffer.fill(1);
        Ok(buffer.len())
    }
}

fn failed_content_and_a_dropped_writer_leave_what_was_there(store: &ArtifactStore) {
    store.put_bytes("a", b"old").unwrap();
    assert!(store.put_reader("a", Failing(0)).is_err());
    let mut writer = store.create("a").unwrap();
    writer.write_all(b"half").unwrap();
    drop(writer);
    drop(store.create("b").unwrap());
    assert_eq!(content(store, "a"), b"old");
    store.verify("a").unwrap();
    assert_eq!(store.files().unwrap().len(), 1);
}

/// More than one part of an upload, and no whole number of them.
pub(crate) const LARGE: u64 = (21 << 20) + 12_345;

/// Bytes that no part has in common with another, made while they are read.
pub(crate) fn large() -> impl Read {
    blake3::Hasher::new().finalize_xof().take(LARGE)
}

fn a_large_file_comes_back_as_it_was(store: &ArtifactStore) {
    let artifact = store.put_reader("large", large()).unwrap();
    assert!(artifact.size >= LARGE);
    let mut hasher = blake3::Hasher::new();
    assert_eq!(io::copy(&mut store.reader("large").unwrap(), &mut hasher).unwrap(), LARGE);
    let mut expected = blake3::Hasher::new();
    io::copy(&mut large(), &mut expected).unwrap();
    assert_eq!(hasher.finalize(), expected.finalize());
    assert_eq!(store.verify("large").unwrap(), artifact.digest);
    // From a file, which is sent without a copy.
    let file = tempfile::NamedTempFile::new().unwrap();
    store.get_file("large", file.path()).unwrap();
    store.put_file("again", file.path()).unwrap();
    store.verify("again").unwrap();
    // A reader that is given up early.
    let mut begin = [0; 100];
    store.reader("again").unwrap().read_exact(&mut begin).unwrap();
}

fn many_writers_do_not_disturb_each_other(store: &ArtifactStore) {
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for turn in 0..5 {
                    store.put_bytes("shared", format!("{writer}:{turn}").as_bytes()).unwrap();
                    store.put_bytes(&format!("own/{writer}-{turn}"), b"x").unwrap();
                }
            });
        }
    });
    let files = store.files().unwrap();
    assert_eq!(files.len(), 21);
    for file in files {
        assert!(store.verify(file.name.as_str()).unwrap().is_some(), "{}", file.name);
    }
}

#[test]
fn a_folder_does_what_a_store_has_to() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    all(&|| {
        count.set(count.get() + 1);
        ArtifactStore::open(&format!("file://{}/{}/artifacts", folder.path().display(), count.get())).unwrap()
    });
}

#[test]
fn memory_does_what_a_store_has_to() {
    all(&ArtifactStore::memory);
}
