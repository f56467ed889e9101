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

    let shown = sandbox.run(&["runs", "show", "away", "--json", &uri]).succeeded().result();
    assert_eq!(text(&shown, "/info/status"), "FINISHED");
    assert!(text(&shown, "/info/artifact_uri").starts_with("mlflow-artifacts:"));
    // It goes on here, and what changed is brought too.
    sandbox.run(&["train", "resume=away", "trainer.max_epochs=2", &uri]).succeeded();
    compare(&folder.join("artifacts"), &served);
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
