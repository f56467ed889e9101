//! What a folder of artifacts promises besides: links, manifests, permissions.
use std::{fs, io::Read as _, path::PathBuf, time::Duration};

use fulmen_storage::{ArtifactStore, StorageError, run_artifact_folder};

struct Fixture {
    folder: tempfile::TempDir,
    outside: PathBuf,
    store: ArtifactStore,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let store = ArtifactStore::new(folder.path().join("run").join("artifacts"));
    Fixture { folder, outside, store }
}

fn names(store: &ArtifactStore, folder: &str) -> (Vec<String>, Vec<String>) {
    let listing = store.list(folder).unwrap();
    let folders = listing.folders.iter().map(|folder| folder.name.to_string()).collect();
    let files = listing.files.iter().map(|file| file.name.to_string()).collect();
    (folders, files)
}

#[test]
fn a_written_file_is_read_back_listed_and_verified() {
    let Fixture { store, folder: _folder, .. } = fixture();
    let artifact = store.put_bytes("model/weights.bin", b"weights").unwrap();
    assert_eq!(artifact.size, 7);
    assert_eq!(artifact.digest.as_deref(), Some(blake3::hash(b"weights").to_hex().as_str()));
    let mut text = String::new();
    store.reader("model/weights.bin").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "weights");
    assert_eq!(names(&store, ""), (vec!["model".into()], vec![]));
    assert_eq!(names(&store, "model"), (vec![], vec!["model/weights.bin".into()]));
    assert_eq!(store.files().unwrap(), std::slice::from_ref(&artifact));
    assert_eq!(store.verify("model/weights.bin").unwrap(), artifact.digest);
}

#[test]
fn a_file_is_copied_and_replaces_the_old_one() {
    let Fixture { store, outside, folder: _folder } = fixture();
    store.put_bytes("a", b"old content, longer").unwrap();
    store.put_bytes("b", b"other").unwrap();
    store.put_file("a", &outside.join("secret")).unwrap();
    assert_eq!(fs::read(store.local().unwrap().path_of("a").unwrap()).unwrap(), b"secret");
    store.verify("a").unwrap();
    store.verify("b").unwrap();
    let manifest = fs::read_to_string(store.local().unwrap().root().with_file_name("artifacts.b3")).unwrap();
    assert_eq!(manifest.lines().count(), 2);
}

#[test]
fn a_changed_file_fails_verification() {
    let Fixture { store, folder: _folder, .. } = fixture();
    store.put_bytes("a", b"good").unwrap();
    fs::write(store.local().unwrap().path_of("a").unwrap(), b"evil").unwrap();
    assert!(matches!(store.verify("a"), Err(StorageError::Digest { .. })));
}

#[test]
fn failed_content_leaves_the_old_file_and_no_litter() {
    struct Failing(usize);
    impl std::io::Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            if self.0 > 2 {
                return Err(std::io::Error::other("connection lost"));
            }
            buffer.fill(1);
            Ok(buffer.len())
        }
    }
    let Fixture { store, folder: _folder, .. } = fixture();
    store.put_bytes("a", b"old").unwrap();
    assert!(store.put_reader("a", Failing(0)).is_err());
    assert_eq!(fs::read(store.local().unwrap().path_of("a").unwrap()).unwrap(), b"old");
    assert_eq!(fs::read_dir(store.local().unwrap().root()).unwrap().count(), 1);
}

#[test]
fn deleting_removes_the_file_and_its_digest() {
    let Fixture { store, folder: _folder, .. } = fixture();
    store.put_bytes("a/b", b"1").unwrap();
    store.put_bytes("a/c/d", b"2").unwrap();
    store.put_bytes("ab", b"3").unwrap();
    store.delete("a").unwrap();
    assert_eq!(store.files().unwrap().len(), 1);
    assert!(matches!(store.delete("a"), Err(StorageError::Missing { .. })));
    fs::write(store.local().unwrap().path_of("a").unwrap(), b"x").unwrap();
    assert_eq!(store.verify("a").unwrap(), None);
    store.delete_all().unwrap();
    store.delete_all().unwrap();
    assert!(store.files().unwrap().is_empty());
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused() {
    use std::os::unix::fs::symlink;
    let Fixture { store, outside, folder: _folder } = fixture();
    store.put_bytes("inside/a", b"1").unwrap();
    symlink(&outside, store.local().unwrap().root().join("link")).unwrap();
    symlink(outside.join("new"), store.local().unwrap().root().join("dangling")).unwrap();
    symlink(store.local().unwrap().root().join("inside"), store.local().unwrap().root().join("friend"))
        .unwrap();
    for name in ["link/secret", "link/new", "link/deep/new", "dangling", "link"] {
        assert!(matches!(store.put_bytes(name, b"x"), Err(StorageError::Escape { .. })), "{name}");
        assert!(matches!(store.reader(name), Err(StorageError::Escape { .. })), "{name}");
        assert!(matches!(store.delete(name), Err(StorageError::Escape { .. })), "{name}");
    }
    assert!(!outside.join("deep").exists());
    assert!(store.reader("friend/a").is_ok());
    assert_eq!(names(&store, ""), (vec!["inside".into()], vec![]));
}

#[test]
fn a_folder_is_no_file_and_a_file_no_folder() {
    let Fixture { store, folder: _folder, .. } = fixture();
    store.put_bytes("folder/file", b"1").unwrap();
    assert!(matches!(store.put_bytes("folder", b"1"), Err(StorageError::Type { .. })));
    assert!(matches!(store.put_bytes("folder/file/x", b"1"), Err(StorageError::Type { .. })));
    assert!(matches!(store.reader("folder"), Err(StorageError::Type { .. })));
    assert!(matches!(store.list("folder/file"), Err(StorageError::Type { .. })));
    assert!(matches!(store.list("absent"), Err(StorageError::Missing { .. })));
    assert!(matches!(store.reader("absent"), Err(StorageError::Missing { .. })));
}

#[test]
fn only_old_unfinished_files_are_swept() {
    let Fixture { store, folder: _folder, .. } = fixture();
    store.put_bytes("folder/file", b"1").unwrap();
    fs::write(store.local().unwrap().root().join("folder/.fulmen-unfinished-x"), b"half").unwrap();
    assert_eq!(names(&store, "folder").1, ["folder/file"]);
    assert_eq!(store.local().unwrap().remove_unfinished(Duration::from_secs(3600)).unwrap(), 0);
    assert_eq!(store.local().unwrap().remove_unfinished(Duration::ZERO).unwrap(), 1);
    assert_eq!(names(&store, "folder").1, ["folder/file"]);
}

#[test]
fn many_writers_leave_a_manifest_that_matches_the_files() {
    let Fixture { store, folder: _folder, .. } = fixture();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for turn in 0..10 {
                    store.put_bytes("shared", format!("{writer}:{turn}").as_bytes()).unwrap();
                    store.put_bytes(&format!("own/{writer}-{turn}"), b"x").unwrap();
                }
            });
        }
    });
    let files = store.files().unwrap();
    assert_eq!(files.len(), 41);
    for file in files {
        assert_eq!(store.verify(file.name.as_str()).unwrap(), file.digest);
    }
}

#[test]
fn the_folder_of_a_run_follows_mlflow() {
    let folder = run_artifact_folder("/data".as_ref(), "7", "0123").unwrap();
    assert_eq!(folder, PathBuf::from("/data/7/0123/artifacts"));
    assert!(run_artifact_folder("/data".as_ref(), "..", "0123").is_err());
    assert!(run_artifact_folder("/data".as_ref(), "7", "a/b").is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_to_is_reported_as_such() {
    // Not even the superuser may create a folder there.
    let store = ArtifactStore::new("/sys/fulmen-no-such-folder/artifacts");
    let error = store.put_bytes("a", b"1").unwrap_err();
    assert!(matches!(error, StorageError::ReadOnly { .. }), "{error:?}");
    assert!(error.to_string().contains("/sys/fulmen-no-such-folder"), "{error}");
}
