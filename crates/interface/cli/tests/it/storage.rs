//! `fulmen artifacts`, `cache` and `keys`. They need no worker: the runs are made in the store.

use std::fs;
use std::path::{Path, PathBuf};

use fulmen_storage::{CacheKey, DatasetCache, StorageError};
use fulmen_tracking::{NewRun, SqliteStore, TrackingStore};
use serde_json::json;

use crate::harness::{Sandbox, text};

/// A sandbox with a run; the run's id, and the folder of its artifacts.
fn with_run() -> (Sandbox, String, PathBuf) {
    let sandbox = Sandbox::without_worker();
    fs::create_dir_all(sandbox.path().join("runs")).unwrap();
    let store = SqliteStore::open(&sandbox.path().join("runs/fulmen.db")).unwrap();
    let new = NewRun { experiment_id: "0".into(), run_name: Some("first".into()), ..NewRun::default() };
    let run = store.create_run(&new).unwrap();
    let artifacts = PathBuf::from(&run.info.artifact_uri);
    (sandbox, run.info.run_id, artifacts)
}

#[test]
fn artifacts_are_put_listed_fetched_verified_and_deleted() {
    let (sandbox, id, folder) = with_run();
    sandbox.write("report.html", "<p>");
    sandbox.write("plots/epoch=1/loss.png", [7; 5000]);
    let put =
        sandbox.run(&["artifacts", "put", "first", "report.html", "plots", "--json"]).succeeded().result();
    assert_eq!(text(&put, "/run_id"), id);
    assert_eq!(put["added"].as_array().unwrap().len(), 2);
    sandbox.run(&["artifacts", "put", &id[..8], "report.html", "--to", "docs/old"]).succeeded();

    let listed = sandbox.run(&["artifacts", "list", "first", "--json"]).succeeded().result();
    let names: Vec<_> = (0..3).map(|index| text(&listed, &format!("/{index}/path")).to_owned()).collect();
    assert_eq!(names, ["docs", "plots", "report.html"]);
    assert_eq!(listed[2]["file_size"], 3);
    assert_eq!(text(&listed, "/2/blake3"), blake3::hash(b"<p>").to_hex().as_str());
    // A name with `=` is a name, not an override.
    let shown =
        sandbox.run(&["artifacts", "list", "first", "plots/epoch=1", "mlflow.run_name=x"]).succeeded().stdout;
    assert!(shown.contains("plots/epoch=1/loss.png") && shown.contains("4.9 KiB"), "{shown}");
    let all = sandbox.run(&["artifacts", "list", "first", "--recursive", "--json"]).succeeded().result();
    assert_eq!(all.as_array().unwrap().len(), 3);

    sandbox.run(&["artifacts", "get", "first", "plots", "--output", "copy"]).succeeded();
    assert_eq!(fs::read(sandbox.path().join("copy/plots/epoch=1/loss.png")).unwrap(), [7; 5000]);
    assert!(!sandbox.path().join("copy/report.html").exists());

    sandbox.run(&["artifacts", "verify", "first"]).succeeded();
    fs::write(folder.join("report.html"), "<b>").unwrap();
    let verified = sandbox.run(&["artifacts", "verify", "first", "--json"]);
    assert_eq!(verified.code, 1);
    let states = verified.result();
    assert_eq!((text(&states, "/2/path"), text(&states, "/2/state")), ("report.html", "damaged"));
    assert!(text(&states, "/2/message").contains("report.html"));

    sandbox.run(&["artifacts", "delete", "first", "docs", "no-such"]).refused(&["no-such"]);
    assert!(folder.join("docs/old/report.html").exists(), "a slip in one name deletes none");
    sandbox.run(&["artifacts", "delete", "first", "docs", "report.html"]).succeeded();
    let left = sandbox.run(&["artifacts", "list", "first", "--json"]).succeeded().result();
    assert_eq!(left.as_array().unwrap().len(), 1);
}

#[test]
fn wrong_names_of_runs_and_artifacts_are_refused() {
    let (sandbox, ..) = with_run();
    sandbox.write("a", "1");
    sandbox.run(&["artifacts", "list", "frist"]).refused(&["no run 'frist'", "first"]);
    sandbox.run(&["artifacts", "get", "first", "../../fulmen.db"]).refused(&["../../fulmen.db"]);
    sandbox.run(&["artifacts", "put", "first", "a", "--to", "../.."]).refused(&["`..`"]);
    sandbox.run(&["artifacts", "put", "first", "absent"]).refused(&["absent"]);
    sandbox.run(&["artifacts", "get", "first", "absent"]).refused(&["absent", "no such artifact"]);
}

#[test]
fn encrypted_artifacts_are_read_with_the_key_alone_also_after_a_rotation() {
    let (sandbox, _, folder) = with_run();
    sandbox.write("report.html", "patient 4711");
    let key = |name: &str| format!("encryption.master_key=file:{}", sandbox.path().join(name).display());
    let (old, on) = (key("old.key"), "encryption.artifacts=true");
    sandbox.run(&["artifacts", "put", "first", "report.html", on]).refused(&["encryption.master_key"]);
    sandbox.run(&["artifacts", "put", "first", "report.html", on, &old]).refused(&["old.key"]);
    let made = sandbox.run(&["keys", "generate", "--json", &old]).succeeded().result();
    assert!(text(&made, "/public_key").starts_with("age1"));
    assert!(sandbox.path().join("runs/keyring.age").is_file());

    sandbox.run(&["artifacts", "put", "first", "report.html", on, &old]).succeeded();
    let stored = fs::read(folder.join("report.html")).unwrap();
    assert!(!stored.windows(7).any(|window| window == b"patient"));
    sandbox.run(&["artifacts", "get", "first", "-o", "copy", on, &old]).succeeded();
    assert_eq!(fs::read(sandbox.path().join("copy/report.html")).unwrap(), b"patient 4711");

    sandbox.run(&["keys", "generate", "--output", "new.key"]).succeeded();
    let place = format!("file:{}", sandbox.path().join("new.key").display());
    sandbox.run(&["keys", "rotate", "--to", &place, "--new-data-key", &old]).succeeded();
    sandbox.run(&["artifacts", "verify", "first", on, &old]).refused(&["keyring.age"]);
    let new = key("new.key");
    sandbox.run(&["artifacts", "verify", "first", on, &new]).succeeded();
    let status = sandbox.run(&["keys", "status", "--json", on, &new]).succeeded().result();
    assert_eq!(status["data_keys"].as_array().unwrap().len(), 2);
    assert_eq!(status["encrypted"], json!({"artifacts": true, "checkpoints": true, "cache": false}));

    let artifacts = folder.display().to_string();
    sandbox.run(&["keys", "verify", &artifacts, &new]).succeeded();
    let mut changed = stored;
    let middle = changed.len() - 20;
    changed[middle] ^= 1;
    fs::write(folder.join("report.html"), changed).unwrap();
    let verified = sandbox.run(&["keys", "verify", &artifacts, &new]);
    assert_eq!(verified.code, 1);
    assert!(verified.stdout.contains("report.html"), "{verified:?}");
}

#[test]
fn no_output_shows_a_secret() {
    let sandbox = Sandbox::without_worker();
    let key = format!("encryption.master_key=file:{}", sandbox.path().join("k").display());
    let mut said = String::new();
    for arguments in [&["keys", "generate", &key][..], &["keys", "status", &key], &["keys", "verify", &key]] {
        let finished = sandbox.run(arguments).succeeded();
        said += &(finished.stdout + &finished.stderr);
    }
    let secret = fs::read_to_string(sandbox.path().join("k")).unwrap();
    let secret = secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap();
    let wrong = sandbox.run(&["keys", "status", &format!("encryption.master_key={secret}")]);
    said +=
        &wrong.refused(&["file:/path/to/key"]).stderr.replace(&format!("encryption.master_key={secret}"), "");
    assert!(!said.contains(&secret[..30]), "{said}");
}

#[test]
fn the_cache_is_listed_shown_verified_and_emptied() {
    let sandbox = Sandbox::without_worker();
    let path = sandbox.run(&["cache", "path"]).succeeded().stdout;
    let cache = DatasetCache::new(path.trim());
    assert!(sandbox.run(&["cache", "list"]).succeeded().stderr.contains("nothing is kept"));
    let key = |name: &str| {
        CacheKey::new(&json!({"_target_": name}), [("train.csv".to_owned(), "abc".to_owned())]).unwrap()
    };
    for name in ["vision.digits", "nlp.text"] {
        let fill = |writer: &fulmen_storage::CacheWriter| writer.put("data.bin", [1; 2000].as_slice());
        cache.get_or_insert::<StorageError>(&key(name), fill).unwrap();
    }
    let listed = sandbox.run(&["cache", "list", "--json"]).succeeded().result();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["size"]), (2, &json!(2000)));
    let id = key("nlp.text").id().to_owned();
    let shown = sandbox.run(&["cache", "info", &id[..8]]).succeeded().stdout;
    assert!(shown.contains("nlp.text") && shown.contains("train.csv"), "{shown}");
    sandbox.run(&["cache", "info", "zzz"]).refused(&["no entry 'zzz'"]);

    sandbox.run(&["cache", "verify"]).succeeded();
    let entry = listed.as_array().unwrap().iter().find(|entry| entry["id"] == id).unwrap();
    fs::write(Path::new(text(entry, "/path")).join("data/data.bin"), [2; 2000]).unwrap();
    let verified = sandbox.run(&["cache", "verify", "--remove", "--json"]);
    assert_eq!(verified.code, 1);
    assert!(
        verified.result().as_array().unwrap().iter().any(|row| row["id"] == id && row["removed"] == true)
    );

    let pruned = sandbox.run(&["cache", "prune", "--keep", "0.000001", "--json"]).succeeded().result();
    assert_eq!((pruned["removed"].as_array().unwrap().len(), &pruned["size"]), (1, &json!(0)));
    sandbox.run(&["cache", "clear"]).succeeded();
}
