//! The cache of prepared data, also among processes that are killed.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use fulmen_encryption::Keyring;
use fulmen_storage::{CacheEntry, CacheKey, DatasetCache, StorageError};
use serde_json::json;

fn key(number: usize) -> CacheKey {
    CacheKey::new(&json!({"number": number}), [("input".to_owned(), "digest".to_owned())]).unwrap()
}

fn insert(cache: &DatasetCache, number: usize, size: usize) -> CacheEntry {
    let fill = |writer: &fulmen_storage::CacheWriter| writer.put("deep/data.bin", vec![7; size].as_slice());
    cache.get_or_insert::<StorageError>(&key(number), fill).unwrap()
}

fn ids(cache: &DatasetCache) -> Vec<String> {
    cache.list().unwrap().iter().map(|info| info.key.id().to_owned()).collect()
}

#[test]
fn what_was_prepared_once_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = DatasetCache::new(folder.path().join("cache"));
    assert!(cache.get(&key(1)).unwrap().is_none() && cache.list().unwrap().is_empty());
    drop(insert(&cache, 1, 1000));
    let entry = cache.get_or_insert::<StorageError>(&key(1), |_| panic!("it is there")).unwrap();
    let mut bytes = Vec::new();
    entry.reader("deep/data.bin").unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, vec![7; 1000]);
    assert_eq!(fs::read(entry.folder().unwrap().join("deep/data.bin")).unwrap(), bytes);
    entry.verify().unwrap();
    let info = cache.list().unwrap().remove(0);
    assert_eq!((info.size, info.files, info.pinned, info.encrypted), (1000, 1, true, false));
    assert_eq!(info.key, key(1));
    drop(entry);
    assert!(!cache.list().unwrap()[0].pinned);
    assert_eq!(cache.find(&key(1).id()[..6]).unwrap().len(), 1);
}

#[test]
fn a_failed_preparation_leaves_no_entry_and_no_litter() {
    let folder = tempfile::tempdir().unwrap();
    let cache = DatasetCache::new(folder.path());
    let failed = cache.get_or_insert(&key(1), |writer| {
        writer.put("a", b"1".as_slice())?;
        Err(StorageError::Missing { path: "input".into() })
    });
    assert!(matches!(failed, Err(StorageError::Missing { .. })));
    assert!(cache.get(&key(1)).unwrap().is_none());
    assert!(folders(&folder.path().join("unfinished")).is_empty());
}

#[test]
fn what_was_used_longest_ago_goes_first_and_what_is_in_use_stays() {
    let folder = tempfile::tempdir().unwrap();
    let cache = DatasetCache::new(folder.path()).with_limit(3500);
    for number in 1..=3 {
        drop(insert(&cache, number, 1000));
        thread::sleep(Duration::from_millis(10));
    }
    drop(cache.get(&key(1)).unwrap().unwrap());
    drop(insert(&cache, 4, 1000));
    assert_eq!(cache.list().unwrap().len(), 3);
    assert!(cache.get(&key(2)).unwrap().is_none(), "it was used longest ago");

    let pinned = cache.get(&key(3)).unwrap().unwrap();
    let pruned = cache.prune(0).unwrap();
    assert_eq!((pruned.removed.len(), pruned.freed, pruned.size), (2, 2000, 1000));
    assert_eq!(pruned.in_use, [key(3).id()]);
    pinned.verify().unwrap();
    drop(pinned);
    cache.clear().unwrap();
    assert!(cache.list().unwrap().is_empty());
}

#[test]
fn damage_is_found_and_an_entry_that_is_not_whole_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = DatasetCache::new(folder.path());
    let data = insert(&cache, 1, 1000).folder().unwrap().join("deep/data.bin");
    let mut bytes = fs::read(&data).unwrap();
    bytes[500] ^= 1;
    fs::write(&data, &bytes).unwrap();
    let error = cache.get(&key(1)).unwrap().unwrap().verify().unwrap_err();
    assert!(
        matches!(error, StorageError::Digest { .. }) && error.to_string().contains("data.bin"),
        "{error}"
    );

    fs::write(&data, "cut").unwrap();
    assert!(cache.get(&key(1)).unwrap().is_none());
    insert(&cache, 1, 1000).verify().unwrap();

    // A description that was changed by hand belongs to no key any more.
    let description = cache.list().unwrap()[0].path.join("entry.json");
    let text = fs::read_to_string(&description).unwrap();
    fs::write(&description, text.replace("\"number\": 1", "\"number\": 2")).unwrap();
    assert!(cache.get(&key(1)).unwrap().is_none() && cache.list().unwrap().is_empty());
    cache.prune(u64::MAX).unwrap();
    assert!(folders(&folder.path().join("entries")).is_empty());
}

#[test]
fn an_encrypted_cache_shares_nothing_with_a_plain_one_and_refuses_swapped_entries() {
    let folder = tempfile::tempdir().unwrap();
    let plain = DatasetCache::new(folder.path());
    let cache = plain.clone().encrypted(Arc::new(Keyring::generate()));
    drop(insert(&plain, 1, 1000));
    assert!(cache.get(&key(1)).unwrap().is_none());
    for number in [1, 2] {
        let entry = insert(&cache, number, 1000);
        entry.verify().unwrap();
        assert!(entry.folder().is_none());
    }
    assert_eq!(cache.list().unwrap().iter().filter(|info| info.encrypted).count(), 2);
    let paths: Vec<_> =
        [1, 2].map(|number| folder.path().join(format!("entries/{}.age", key(number).id()))).into();
    for part in ["data", "data.b3"] {
        fs::rename(paths[0].join(part), folder.path().join("swap")).unwrap();
        fs::rename(paths[1].join(part), paths[0].join(part)).unwrap();
        fs::rename(folder.path().join("swap"), paths[1].join(part)).unwrap();
    }
    // The heads of age files differ in length, so the swap is found at once or when the file is read.
    if let Some(entry) = cache.get(&key(1)).unwrap() {
        assert!(matches!(entry.verify(), Err(StorageError::Encryption(_))));
    }
}

#[test]
fn of_several_processes_that_want_one_entry_one_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..4).map(|_| child(folder.path(), "one")).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(folder.path().join("made")).unwrap(), "x");
}

#[test]
fn an_entry_that_another_process_uses_is_not_evicted_until_that_process_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = child(folder.path(), "hold");
    let cache = DatasetCache::new(folder.path());
    while !folder.path().join("held").exists() {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(cache.clear().unwrap().in_use, [key(0).id()]);
    assert!(cache.list().unwrap()[0].pinned);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(cache.clear().unwrap().removed, [key(0).id()]);
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_cache_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let cache = DatasetCache::new(folder.path());
    let mut seen = 0;
    for turn in 0..40 {
        let mut child = child(folder.path(), "many");
        thread::sleep(Duration::from_millis(20 + turn * 3));
        child.kill().unwrap();
        child.wait().unwrap();
        for info in cache.list().unwrap() {
            seen += 1;
            // Evicted by nobody: all children are gone.
            cache.get(&info.key).unwrap().expect("an entry that is listed is whole").verify().unwrap();
        }
    }
    assert!(seen > 0, "no child came as far as one entry");
    cache.prune(u64::MAX).unwrap();
    assert!(folders(&folder.path().join("unfinished")).is_empty(), "what was left behind is swept");
    insert(&cache, 99, 10).verify().unwrap();
    assert!(ids(&cache).contains(&key(99).id().to_owned()));
}

fn folders(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// This test program again, as another process that plays a part.
fn child(folder: &Path, part: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "cache::plays_its_part_as_a_child"])
        .env("FULMEN_TEST_CACHE", folder)
        .env("FULMEN_TEST_CACHE_PART", part)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn plays_its_part_as_a_child() {
    let Some(folder) = env::var_os("FULMEN_TEST_CACHE") else { return };
    let folder = Path::new(&folder);
    let cache = DatasetCache::new(folder);
    match env::var("FULMEN_TEST_CACHE_PART").unwrap().as_str() {
        "one" => {
            let fill = |writer: &fulmen_storage::CacheWriter| {
                let mut made =
                    fs::File::options().append(true).create(true).open(folder.join("made")).unwrap();
                made.write_all(b"x").unwrap();
                thread::sleep(Duration::from_millis(200));
                writer.put("a", b"1".as_slice())
            };
            cache.get_or_insert::<StorageError>(&key(0), fill).unwrap().verify().unwrap();
        }
        "hold" => {
            let _entry = insert(&cache, 0, 10);
            fs::write(folder.join("held"), "").unwrap();
            thread::sleep(Duration::from_secs(60));
        }
        _ => {
            let cache = cache.with_limit(40_000);
            // Until it is killed.
            for number in 0..usize::MAX {
                drop(insert(&cache, number % 17, 5000 + number % 7));
            }
        }
    }
}
