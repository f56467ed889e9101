//! Artifacts of runs whose store keeps them elsewhere: a run here, its record and its artifacts on a tracking server.

use std::fs;
use std::path::Path;

use crate::harness::{Sandbox, text};
use crate::server::Process;

/// What the worker wrote and what the server has, without links and the record of digests.
fn compare(run: &Path, served: &Path) -> usize {
    let mut compared = 0;
    for entry in fs::read_dir(run).unwrap().map(Result::unwrap) {
        let (kind, there) = (entry.file_type().unwrap(), served.join(entry.file_name()));
        if kind.is_dir() {
            compared += compare(&entry.path(), &there);
        } else if kind.is_file() {
            assert_eq!(fs::read(entry.path()).unwrap(), fs::read(&there).unwrap(), "{}", there.display());
            compared += 1;
        }
    }
    compared
}

#[test]
fn a_run_recorded_on_a_server_has_its_artifacts_there_when_it_ends() {
    let (sandbox, place) = (Sandbox::new(), tempfile::tempdir().unwrap());
    let server = Process::start(place.path(), &["--port", "0"]);
    let uri = format!("mlflow.tracking_uri=http://{}", server.address);
    let trained = sandbox.train(&["model=mlp", "mlflow.run_name=away", &uri]);
    let folder = Path::new(text(&trained, "/folder"));
    let served = place.path().join("runs/mlartifacts/0").join(text(&trained, "/run_id")).join("artifacts");
    assert!(compare(&folder.join("artifacts"), &served) >= 5);
    assert!(!folder.join("uploads").exists() && !folder.join("journal").exists());
    // What it was told is the time of each file there: one that is brought again gets a new one.
    let times = |names: &[&str]| -> Vec<_> {
        names.iter().map(|name| fs::metadata(served.join(name)).unwrap().modified().unwrap()).collect()
    };
    let kept = format!("checkpoints/{}/model.safetensors", checkpoint_of(&folder.join("artifacts")));
    let before = times(&[&kept, "metrics.jsonl"]);

    let shown = sandbox.run(&["runs", "show", "away", "--json", &uri]).succeeded().result();
    assert_eq!(text(&shown, "/info/status"), "FINISHED");
    assert!(text(&shown, "/info/artifact_uri").starts_with("mlflow-artifacts:"));
    // It goes on here, and what changed is brought too.
    sandbox.run(&["train", "resume=away", "trainer.max_epochs=2", &uri]).succeeded();
    compare(&folder.join("artifacts"), &served);
    let after = times(&[&kept, "metrics.jsonl"]);
    assert_eq!(after[0], before[0], "what has arrived and did not change is not brought again");
    assert_ne!(after[1], before[1], "what has changed is");
}

#[test]
fn artifacts_of_an_encrypted_run_arrive_as_they_are_encrypted() {
    let (sandbox, place) = (Sandbox::new(), tempfile::tempdir().unwrap());
    let server = Process::start(place.path(), &["--port", "0"]);
    let uri = format!("mlflow.tracking_uri=http://{}", server.address);
    let key = format!("encryption.master_key=file:{}", sandbox.path().join("master.key").display());
    sandbox.run(&["keys", "generate", &key]).succeeded();
    let trained = sandbox.train(&["model=mlp", "encryption.artifacts=true", &key, &uri]);
    let folder = Path::new(text(&trained, "/folder"));
    let served = place.path().join("runs/mlartifacts/0").join(text(&trained, "/run_id")).join("artifacts");
    assert!(compare(&folder.join("artifacts"), &served) >= 5);
    assert_eq!(crate::resume::in_clear(&served), Vec::<std::path::PathBuf>::new());

    // From there they come decrypted, and what is put there is encrypted here.
    sandbox.write("report.html", "patient 4711");
    let id = text(&trained, "/run_id");
    sandbox.run(&["artifacts", "put", id, "report.html", &key, &uri]).succeeded();
    assert_eq!(crate::resume::in_clear(&served), Vec::<std::path::PathBuf>::new());
    sandbox.run(&["artifacts", "get", id, "--output", "copy", &key, &uri]).succeeded();
    assert_eq!(fs::read(sandbox.path().join("copy/report.html")).unwrap(), b"patient 4711");
    assert!(fs::read_to_string(sandbox.path().join("copy/metrics.jsonl")).unwrap().starts_with('{'));
    let report = served.join("report.html");
    let mut bytes = fs::read(&report).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&report, bytes).unwrap();
    let verified = sandbox.run(&["artifacts", "verify", id, "report.html", &key, &uri]);
    assert_eq!(verified.code, 1);
    assert!(verified.stderr.contains("report.html: the content was changed"), "{}", verified.stderr);
}

#[test]
fn an_encrypting_server_keeps_nothing_in_clear_and_hands_out_what_it_was_given() {
    let (sandbox, place) = (Sandbox::new(), tempfile::tempdir().unwrap());
    let key = format!("encryption.master_key=file:{}", place.path().join("master.key").display());
    let keyring = format!("encryption.keyring={}", place.path().join("keyring.age").display());
    sandbox.run(&["keys", "generate", &key, &keyring]).succeeded();
    let server = Process::start(place.path(), &["--port", "0", "encryption.artifacts=true", &key, &keyring]);
    let uri = format!("mlflow.tracking_uri=http://{}", server.address);
    let trained = sandbox.train(&["model=mlp", &uri]);
    let served = place.path().join("runs/mlartifacts/0").join(text(&trained, "/run_id")).join("artifacts");
    assert_eq!(crate::resume::in_clear(&served), Vec::<std::path::PathBuf>::new());
    sandbox.run(&["artifacts", "get", text(&trained, "/run_id"), "--output", "copy", &uri]).succeeded();
    let folder = Path::new(text(&trained, "/folder")).join("artifacts");
    assert!(compare(&folder, &sandbox.path().join("copy")) >= 5);
}

#[test]
fn artifacts_that_a_server_keeps_are_put_listed_fetched_verified_and_deleted() {
    let (sandbox, place) = (Sandbox::new(), tempfile::tempdir().unwrap());
    let server = Process::start(place.path(), &["--port", "0"]);
    let uri = format!("mlflow.tracking_uri=http://{}", server.address);
    let trained = sandbox.train(&["model=mlp", "mlflow.run_name=away", &uri]);
    sandbox.write("report.html", "<p>");
    sandbox.write("plots/größe 1.png", [7; 5000]);
    sandbox.run(&["artifacts", "put", "away", "report.html", "plots", "--to", "docs", &uri]).succeeded();
    let served = place.path().join("runs/mlartifacts/0").join(text(&trained, "/run_id")).join("artifacts");
    assert_eq!(fs::read(served.join("docs/plots/größe 1.png")).unwrap(), [7; 5000]);

    let list = |folder: &str| {
        let listed = sandbox.run(&["artifacts", "list", "away", folder, "--json", &uri]).succeeded().result();
        let entries = listed.as_array().unwrap().clone();
        entries.iter().map(|entry| text(entry, "/path").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("docs"), ["docs/plots", "docs/report.html"]);
    let all = sandbox.run(&["artifacts", "list", "away", "--recursive", "--json", &uri]).succeeded().result();
    assert!(all.as_array().unwrap().iter().any(|file| text(file, "/path") == "metrics.jsonl"));
    sandbox.run(&["artifacts", "get", "away", "docs", "--output", "copy", &uri]).succeeded();
    assert_eq!(fs::read(sandbox.path().join("copy/docs/plots/größe 1.png")).unwrap(), [7; 5000]);
    assert_eq!(fs::read(sandbox.path().join("copy/docs/report.html")).unwrap(), b"<p>");
    let verified = sandbox.run(&["artifacts", "verify", "away", &uri]).succeeded();
    assert!(verified.stdout.contains("unrecorded") && verified.stderr.contains("0 damaged"), "{verified:?}");

    sandbox.run(&["artifacts", "get", "away", "absent", &uri]).refused(&["absent", "no such artifact"]);
    sandbox.run(&["artifacts", "get", "away", "../x", &uri]).refused(&["../x"]);
    sandbox.run(&["artifacts", "delete", "away", "docs/plots", &uri]).succeeded();
    assert_eq!(list("docs"), ["docs/report.html"]);
}

/// The name of a checkpoint that a resumed run keeps.
fn checkpoint_of(artifacts: &Path) -> String {
    let best = fs::read_link(artifacts.join("checkpoints/best")).unwrap();
    best.to_str().unwrap().to_owned()
}

#[test]
fn artifacts_that_could_not_be_brought_are_brought_by_sync() {
    let (sandbox, place) = (Sandbox::new(), tempfile::tempdir().unwrap());
    let server = Process::start(place.path(), &["--port", "0"]);
    let uri = format!("mlflow.tracking_uri=http://{}", server.address);
    // A file where the folder of the experiment is to be.
    let taken = place.path().join("runs/mlartifacts/0");
    fs::create_dir_all(taken.parent().unwrap()).unwrap();
    fs::write(&taken, "in the way").unwrap();
    let run =
        sandbox.run(&["train", "--json", "model=mlp", "trainer.max_epochs=1", "mlflow.run_name=away", &uri]);
    let run = run.succeeded();
    assert!(run.stderr.contains("`fulmen sync` brings them"), "{}", run.stderr);
    let trained = run.result();
    let folder = Path::new(text(&trained, "/folder"));
    assert!(folder.join("uploads").is_file());
    assert_eq!(sandbox.run(&["sync", &uri]).code, 1, "it is still in the way");

    fs::remove_file(&taken).unwrap();
    sandbox.run(&["sync", &uri]).succeeded();
    let served = taken.join(text(&trained, "/run_id")).join("artifacts");
    assert!(compare(&folder.join("artifacts"), &served) >= 5);
    assert!(!folder.join("uploads").exists());
    assert!(sandbox.run(&["sync", &uri]).succeeded().stderr.contains("nothing is left behind"));
}
