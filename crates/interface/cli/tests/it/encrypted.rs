//! A run whose artifacts are encrypted, from its training to its use.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Sandbox, text};
use crate::resume::in_clear;

/// A sandbox with keys; the override that says where the master key is.
fn with_keys() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let key = format!("encryption.master_key=file:{}", sandbox.path().join("master.key").display());
    sandbox.run(&["keys", "generate", &key]).succeeded();
    (sandbox, key)
}

fn artifacts(result: &Value) -> PathBuf {
    Path::new(text(result, "/folder")).join("artifacts")
}

/// Files below `folder` that hold `words`.
fn files_with(folder: &Path, words: &[u8], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            files_with(&path, words, found);
        } else if kind.is_file()
            && fs::read(&path).unwrap().windows(words.len()).any(|window| window == words)
        {
            found.push(path);
        }
    }
}

#[test]
fn an_encrypted_run_is_tested_predicted_with_and_taken_out_decrypted_by_its_key_alone() {
    let (sandbox, key) = with_keys();
    let result = sandbox.train(&["model=mlp", "mlflow.run_name=secret", "encryption.artifacts=true", &key]);
    assert_eq!(in_clear(&artifacts(&result)), Vec::<PathBuf>::new());
    let mut holders = Vec::new();
    files_with(sandbox.path(), b"AGE-SECRET-KEY-1", &mut holders);
    assert_eq!(holders, [sandbox.path().join("master.key")], "keys are nowhere else");

    let tested = sandbox.run(&["test", "run=secret", "--json"]).succeeded().result();
    assert_eq!(tested["metrics"]["accuracy"], result["metrics"]["test/accuracy"]);
    sandbox.run(&["test", "run=secret", "encryption.artifacts=false"]).refused(&["is encrypted"]);

    // The run says itself that it is encrypted; where the key is has to be said.
    let get = ["artifacts", "get", "secret", "checkpoints/best", "--output", "copy"];
    sandbox.run(&get).refused(&["encryption.master_key"]);
    sandbox.run(&[&get[..], &[&key]].concat()).succeeded();
    let best = fs::canonicalize(artifacts(&result).join("checkpoints/best")).unwrap();
    let copy = sandbox.path().join("copy/checkpoints").join(best.file_name().unwrap());
    assert!(fs::read_to_string(copy.join("manifest.json")).unwrap().contains("fulmen-checkpoint"));
    let weights = format!("weights='{}'", copy.join("model.safetensors").display());
    sandbox.train(&["model=mlp", &weights]);
    let weights = format!("weights='{}'", best.join("model.safetensors").display());
    sandbox.run(&["train", "model=mlp", &weights]).refused(&[
        "model.safetensors",
        "is encrypted",
        "fulmen artifacts get",
    ]);

    let verified = sandbox.run(&["artifacts", "verify", "secret", &key]).succeeded().stdout;
    assert!(verified.contains("good") && verified.contains("metrics.jsonl"), "{verified}");
    let model = best.join("model.safetensors");
    let mut bytes = fs::read(&model).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&model, bytes).unwrap();
    let verified = sandbox.run(&["artifacts", "verify", "secret", &key]);
    assert_eq!(verified.code, 1);
    assert!(verified.stderr.contains("model.safetensors: the content was changed"), "{}", verified.stderr);
    sandbox.run(&["test", "run=secret"]).refused(&["model.safetensors: the content was changed"]);
}

#[test]
fn checkpoints_alone_are_encrypted_where_only_these_are_to_be() {
    let (sandbox, key) = with_keys();
    let result = sandbox.train(&["model=mlp", "mlflow.run_name=half", "encryption.checkpoints=true", &key]);
    let folder = artifacts(&result);
    assert_eq!(in_clear(&folder.join("checkpoints")), Vec::<PathBuf>::new());
    assert!(fs::read_to_string(folder.join("metrics.jsonl")).unwrap().starts_with('{'));
    sandbox.run(&["artifacts", "get", "half", "--output", "copy", &key]).succeeded();
    let record = fs::read(folder.join("metrics.jsonl")).unwrap();
    assert_eq!(fs::read(sandbox.path().join("copy/metrics.jsonl")).unwrap(), record);
    let last = fs::canonicalize(folder.join("checkpoints/last")).unwrap();
    let state = sandbox.path().join("copy/checkpoints").join(last.file_name().unwrap()).join("state.json");
    assert!(fs::read_to_string(state).unwrap().starts_with('{'));
    sandbox.run(&["train", "resume=half", "trainer.max_epochs=2"]).succeeded();
}

#[test]
fn what_a_killed_run_has_left_in_clear_is_encrypted_by_sync() {
    let (sandbox, key) = with_keys();
    let result = sandbox.train(&["model=mlp", "mlflow.run_name=secret", "encryption.artifacts=true", &key]);
    let left = artifacts(&result).join("reports/left.md");
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::write(&left, "patient 4711").unwrap();
    let synced = sandbox.run(&["sync"]).succeeded().stderr;
    assert!(synced.contains("1 files encrypted"), "{synced}");
    assert_eq!(in_clear(&artifacts(&result)), Vec::<PathBuf>::new());
    let get = ["artifacts", "get", "secret", "reports", "--output", "copy", &key];
    sandbox.run(&get).succeeded();
    assert_eq!(fs::read(sandbox.path().join("copy/reports/left.md")).unwrap(), b"patient 4711");
    assert!(sandbox.run(&["sync"]).succeeded().stderr.contains("nothing is left behind"));
}
