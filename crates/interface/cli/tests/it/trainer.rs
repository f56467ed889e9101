//! Arguments of the trainer that reach beyond training: where runs lie, what is recorded of them.

use std::path::Path;

use crate::harness::{Sandbox, text};

#[test]
fn default_root_dir_holds_the_folders_of_runs_and_the_store_finds_them() {
    let sandbox = Sandbox::new();
    let root = sandbox.path().join("elsewhere");
    let setting = format!("trainer.default_root_dir={}", root.display());
    let trained = sandbox.train(&["model=mlp", "mlflow.run_name=away", "trainer.max_epochs=1", &setting]);
    let folder = Path::new(text(&trained, "/folder"));
    assert!(folder.starts_with(&root), "{}", folder.display());
    assert!(folder.join("artifacts/checkpoints/last").is_dir());

    // The store's own path leads to the same files.
    let shown = sandbox.run(&["runs", "show", "away", "--json"]).succeeded().result();
    let artifacts = Path::new(text(&shown, "/info/artifact_uri"));
    assert!(artifacts.join("checkpoints/last").is_dir(), "{}", artifacts.display());
    assert_eq!(artifacts.canonicalize().unwrap(), folder.join("artifacts").canonicalize().unwrap());

    let resumed =
        sandbox.run(&["train", "--json", "resume=away", "trainer.max_epochs=2"]).succeeded().result();
    assert_eq!(text(&resumed, "/folder"), text(&trained, "/folder"));
    sandbox.run(&["test", "run=away"]).succeeded();
    sandbox.run(&["runs", "delete", "--hard", "away"]).succeeded();
    assert!(!folder.exists());
}

#[test]
fn a_run_that_is_not_to_be_described_records_no_params() {
    let sandbox = Sandbox::new();
    sandbox.train(&["model=mlp", "mlflow.run_name=quiet", "trainer.enable_autolog_hparams=false"]);
    let shown = sandbox.run(&["runs", "show", "quiet", "--json"]).succeeded().result();
    assert_eq!(shown["data"]["params"].as_array().unwrap().len(), 0);
    assert!(!shown["data"]["metrics"].as_array().unwrap().is_empty());
}

#[test]
fn barebones_trains_with_the_callbacks_of_every_run() {
    let sandbox = Sandbox::new();
    let trained = sandbox.train(&[
        "model=mlp",
        "mlflow.run_name=bare",
        "trainer.barebones=true",
        "trainer.limit_val_batches=0",
    ]);
    assert!(!Path::new(text(&trained, "/folder")).join("artifacts/checkpoints").exists());
    sandbox.train(&["model=mlp", "callbacks.model_checkpoint=null", "mlflow.run_name=nothing-saved"]);
}

#[test]
fn without_a_validation_the_latest_checkpoint_is_kept_and_told_of() {
    let sandbox = Sandbox::new();
    let trained = sandbox.run(&[
        "train",
        "--json",
        "model=mlp",
        "mlflow.run_name=unvalidated",
        "trainer.limit_val_batches=0",
        "trainer.max_epochs=2",
        "trainer.limit_train_batches=2",
    ]);
    let result = trained.succeeded().result();
    let checkpoints = Path::new(text(&result, "/folder")).join("artifacts/checkpoints");
    assert!(checkpoints.join("last").is_dir() && !checkpoints.join("best").exists());
    sandbox.run(&["train", "resume=unvalidated", "trainer.max_epochs=3"]).succeeded();
    // A validation that comes late decides from then on.
    let late = sandbox.train(&["model=mlp", "trainer.check_val_every_n_epoch=2", "trainer.max_epochs=2"]);
    assert!(Path::new(text(&late, "/folder")).join("artifacts/checkpoints/best").is_dir());
}

#[test]
fn precisions_have_lightnings_short_names_too() {
    let sandbox = Sandbox::new();
    for precision in ["bf16", "32", "64"] {
        sandbox.train(&["model=mlp", &format!("trainer.precision={precision}")]);
    }
    sandbox.run(&["train", "model=mlp", "trainer.precision=8"]).refused(&["trainer.precision", "bf16-mixed"]);
}
