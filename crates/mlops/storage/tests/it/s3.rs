//! A real S3 server below the store.

use std::{io::Read as _, sync::Arc, time::Instant};

use fulmen_encryption::{Keyring, ScopedKeyring};
use fulmen_storage::{ArtifactStore, StorageError};
use fulmen_utils::testing::skipped;

use crate::{
    conformance::{LARGE, all, content, large},
    s3_server::{empty_store, endpoint, request, variables},
};

macro_rules! server {
    () => {
        match endpoint() {
            Ok(endpoint) => endpoint,
            Err(why) => return skipped(why),
        }
    };
}

#[test]
fn s3_does_what_a_store_has_to() {
    let endpoint = server!();
    all(&|| empty_store(endpoint));
}

#[test]
fn encrypted_s3_does_what_a_store_has_to() {
    let endpoint = server!();
    let keyring = Arc::new(Keyring::generate());
    all(&|| empty_store(endpoint).encrypted(ScopedKeyring::new(keyring.clone(), "run")));
}

#[test]
fn a_long_listing_is_whole() {
    let endpoint = server!();
    let store = empty_store(endpoint);
    // More than S3's page of 1000, written by several threads.
    std::thread::scope(|scope| {
        for part in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                (0..130).for_each(|one| drop(store.put_bytes(&format!("many/{part}-{one}"), b"1").unwrap()));
            });
        }
    });
    assert_eq!(store.list("many").unwrap().files.len(), 1040);
    store.delete("many").unwrap();
    assert!(store.files().unwrap().is_empty());
}

#[test]
fn an_object_of_another_program_is_read_and_has_no_digest() {
    let endpoint = server!();
    let store = empty_store(endpoint);
    let key = store.uri().trim_start_matches("s3://").to_owned();
    let answer = request(endpoint, "PUT", &format!("/{key}/a%20b"), "foreign").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(content(&store, "a b"), b"foreign");
    assert_eq!(store.verify("a b").unwrap(), None);
}

#[test]
fn the_digest_stands_in_the_objects_metadata() {
    let endpoint = server!();
    let store = empty_store(endpoint);
    let key = store.uri().trim_start_matches("s3://").to_owned();
    for (name, size) in [("small", 10), ("large", LARGE)] {
        let digest = store.put_reader(name, large().take(size)).unwrap().digest.unwrap();
        let answer = request(endpoint, "HEAD", &format!("/{key}/{name}"), "").unwrap().to_lowercase();
        assert!(answer.contains(&format!("x-amz-meta-blake3: {digest}")), "{answer}");
    }
}

#[test]
fn content_that_fails_within_an_upload_leaves_no_object_and_no_parts() {
    let endpoint = server!();
    let store = empty_store(endpoint);
    // A file that shrinks between its digest and its upload is the one thing that fails within an upload.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::io::copy(&mut large(), &mut file.as_file()).unwrap();
    let path = file.path().to_path_buf();
    let shrinking = std::thread::spawn(move || {
        let begin = Instant::now();
        while begin.elapsed().as_secs() < 2 {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_len(LARGE / 2).unwrap();
            file.set_len(LARGE).unwrap();
        }
    });
    let mut failures = 0;
    while !shrinking.is_finished() {
        failures +=
            usize::from(matches!(store.put_file("a", file.path()), Err(StorageError::Changed { .. })));
        if failures > 0 {
            assert!(matches!(store.info("a"), Err(StorageError::Missing { .. }) | Ok(_)));
        }
    }
    shrinking.join().unwrap();
    assert!(failures > 0, "no upload met the change");
    // Other tests have uploads of their own under way.
    let answer = request(endpoint, "GET", "/fulmen-test?uploads", "").unwrap();
    assert!(answer.contains("ListMultipartUploadsResult"), "{answer}");
    let prefix = store.uri().trim_start_matches("s3://fulmen-test/").to_owned();
    assert!(!answer.contains(&prefix), "an upload was left open: {answer}");
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let endpoint = server!();
    let store = ArtifactStore::open_with("s3://fulmen-no-such-bucket/a", variables(endpoint)).unwrap();
    let error = store.put_bytes("a", b"1").unwrap_err();
    assert!(matches!(error, StorageError::NoBucket { .. }) && !error.is_transient(), "{error:?}");
}

#[test]
fn a_server_that_is_down_is_a_transient_error() {
    // A port that nobody listens on: it was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store =
        ArtifactStore::open_with("s3://bucket/a", variables(&format!("http://127.0.0.1:{port}"))).unwrap();
    let error = store.info("a").unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }) && error.is_transient(), "{error:?}");
    assert!(error.to_string().starts_with("s3://bucket/a/a: "), "{error}");
}
