//! Where the time goes, where values are logged, and what is left of a run that fails.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{SHORT, Sandbox, text};

/// A run's artifacts, from its result.
fn artifacts(result: &Value) -> std::path::PathBuf {
    Path::new(text(result, "/folder")).join("artifacts")
}

#[test]
fn profile_prints_phases_that_add_up_and_keeps_the_table() {
    let sandbox = Sandbox::new();
    let arguments: Vec<&str> = ["train", "--profile", "--json"].iter().chain(&SHORT).copied().collect();
    let finished = sandbox.run(&arguments).succeeded();
    let lines = finished.lines();
    let profile = &lines.iter().find(|line| line["event"] == "profile").unwrap()["profile"];
    let seconds = |value: &Value| value.as_f64().unwrap();
    let sum: f64 = profile["phases"].as_array().unwrap().iter().map(|phase| seconds(&phase["seconds"])).sum();
    assert!((sum - seconds(&profile["wall_seconds"])).abs() < 1e-6, "{profile:#}");
    assert_eq!(profile["batches"], 3);
    assert!(sandbox.path().join(artifacts(&finished.result())).join("profile/simple.txt").is_file());
    let arguments: Vec<&str> = ["train", "--profile"].iter().chain(&SHORT).copied().collect();
    let shown = sandbox.run(&arguments).succeeded().stderr;
    for word in ["where the time of 3 training batches went", "optimizer", "callbacks", "100.0%"] {
        assert!(shown.contains(word), "'{word}' is not in:\n{shown}");
    }
}

#[test]
fn values_are_logged_as_a_table_unless_no_logger_is_asked_for() {
    let sandbox = Sandbox::new();
    let result = sandbox.train(&["trainer.log_every_n_steps=1", "logger=[csv,tensorboard]"]);
    let folder = sandbox.path().join(artifacts(&result));
    let table = fs::read_to_string(folder.join("csv/version_0/metrics.csv")).unwrap();
    assert!(table.starts_with("epoch,lr,step,") && table.contains("val/loss"), "{table}");
    let steps = table.lines().filter(|line| line.starts_with("0,")).count();
    assert!(steps >= 4, "{table}");
    assert!(folder.join("csv/version_0/hparams.yaml").is_file());
    assert_eq!(fs::read_dir(folder.join("tensorboard/version_0")).unwrap().count(), 2);
    let without = sandbox.train(&["logger=none"]);
    assert!(!sandbox.path().join(artifacts(&without)).join("csv").exists());
}

#[test]
fn a_loss_that_is_not_finite_leaves_a_failed_run_with_a_report() {
    let sandbox = Sandbox::new();
    let arguments = [
        "train",
        "--json",
        "trainer.max_epochs=2",
        "trainer.num_threads=1",
        "trainer.detect_anomaly=true",
        "optimizer=sgd",
        "optimizer.lr=1e30",
        "~scheduler",
        "model=mlp",
    ];
    let finished = sandbox.run(&arguments);
    assert_eq!(finished.code, 1, "{finished:#?}");
    let result = finished.result();
    assert_eq!(text(&result, "/outcome/status"), "failed");
    assert_eq!(text(&result, "/outcome/report/path"), "reports/failure.md");
    let folder = sandbox.path().join(artifacts(&result));
    let report: Value =
        serde_json::from_slice(&fs::read(folder.join("reports/failure.json")).unwrap()).unwrap();
    let layer = text(&report, "/layer");
    assert!(text(&result, "/outcome/message").contains(&format!("layer '{layer}'")), "{result:#}");
    let id = text(&result, "/run_id");
    let shown = sandbox.run(&["runs", "show", id, "--json"]).succeeded().stdout;
    assert!(shown.contains("FAILED"), "{shown}");
    let told = sandbox.run(&arguments.iter().filter(|word| **word != "--json").copied().collect::<Vec<_>>());
    assert_eq!(told.code, 1);
    for word in ["lower the learning rate", "reports/failure.md"] {
        assert!(told.stderr.contains(word), "'{word}' is not in:\n{}", told.stderr);
    }
}
