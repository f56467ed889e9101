//! Experiments and the model registry. No worker is needed: the runs are written into the store.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use fulmen_tracking::{
    Dataset, DatasetInput, Metric, NewRun, Param, Run, RunBatch, RunInputs, Store, Tag, open,
};
use serde_json::{Value, json};

use crate::harness::{Sandbox, text};

fn store(sandbox: &Sandbox) -> Arc<dyn Store> {
    open(&format!("sqlite:///{}", sandbox.path().join("runs/fulmen.db").display())).unwrap()
}

/// A run as training leaves it: params, a metric, a dataset, tags, and two checkpoints with the link `best`.
fn recorded(sandbox: &Sandbox, name: &str, lr: &str, accuracy: f64) -> Run {
    let store = store(sandbox);
    let new = NewRun {
        experiment_id: "0".into(),
        run_name: Some(name.into()),
        user_id: "ada".into(),
        tags: vec![Tag::new("mlflow.source.git.commit", "abc123"), Tag::new("team", name)],
        ..NewRun::default()
    };
    let run_id = store.create_run(&new).unwrap().info.run_id;
    let batch = RunBatch {
        metrics: vec![Metric::at_step("test/accuracy", accuracy, 3)],
        params: vec![Param::new("optimizer.lr", lr), Param::new("model._target_", "vision.mlp")],
        ..RunBatch::default()
    };
    store.log_batch(&run_id, &batch).unwrap();
    let dataset = Dataset {
        name: "digits".into(),
        digest: "d1".into(),
        source_type: "local".into(),
        source: "embedded".into(),
        ..Dataset::default()
    };
    let tags = vec![Tag::new("mlflow.data.context", "training")];
    let inputs = RunInputs { datasets: vec![DatasetInput { tags, dataset }], models: vec![] };
    store.log_inputs(&run_id, &inputs).unwrap();
    let run = store.run(&run_id).unwrap();
    let checkpoints = Path::new(&run.info.artifact_uri).join("checkpoints");
    for checkpoint in ["epoch=1-step=3", "epoch=2-step=6"] {
        fs::create_dir_all(checkpoints.join(checkpoint)).unwrap();
    }
    symlink("epoch=2-step=6", checkpoints.join("best")).unwrap();
    let config = Path::new(&run.info.artifact_uri).with_file_name(".hydra").join("config.yaml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, format!("optimizer: {{lr: {lr}}}\nonly_in_config: {name}\n")).unwrap();
    run
}

#[test]
fn experiments_are_created_changed_deleted_and_restored() {
    let sandbox = Sandbox::without_worker();
    let run = |arguments: &[&str]| sandbox.run(&[&["experiments"], arguments].concat());
    let created = run(&["create", "digits", "--tag", "team=blue", "--json"]).succeeded().result();
    let id = text(&created, "/experiment_id");
    assert_eq!(created["tags"], json!([{"key": "team", "value": "blue"}]));
    run(&["create", "digits"]).refused(&["\"digits\" exists already"]);
    run(&["create", "other", "--tag", "team"]).refused(&["--tag key=value"]);

    run(&["set-tag", "digits", "stage", "early"]).succeeded();
    run(&["delete-tag", id, "team"]).succeeded();
    run(&["delete-tag", id, "team"]).refused(&["no tag"]);
    run(&["rename", "digits", "numbers"]).succeeded();
    let shown = run(&["show", "numbers", "--json"]).succeeded().result();
    assert_eq!((text(&shown, "/experiment_id"), &shown["runs"]), (id, &json!(0)));
    assert_eq!(shown["tags"], json!([{"key": "stage", "value": "early"}]));
    assert!(run(&["show", id]).succeeded().stdout.contains("early"));

    let listed = run(&["list", "--filter", "name LIKE 'numb%'", "--json"]).succeeded().result();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let table = run(&["list", "--order-by", "name ASC"]).succeeded().stdout;
    assert!(table.find("Default").unwrap() < table.find("numbers").unwrap(), "{table}");
    let one = run(&["list", "--limit", "1", "--json"]).succeeded().result();
    assert_eq!(one.as_array().unwrap().len(), 1);

    run(&["delete", "numbers", "nubers"]).refused(&["no experiment 'nubers'", "did you mean 'numbers'?"]);
    run(&["delete", "numbers"]).succeeded();
    let deleted = run(&["list", "--deleted", "--json"]).succeeded().result();
    assert_eq!(text(&deleted, "/0/lifecycle_stage"), "deleted");
    run(&["restore", "numbers"]).succeeded();
    assert_eq!(run(&["list", "--json"]).succeeded().result().as_array().unwrap().len(), 2);
    run(&["list", "--filter", "name >"]).refused(&["filter"]);
}

#[test]
fn a_run_becomes_a_version_and_the_version_is_promoted() {
    let sandbox = Sandbox::without_worker();
    let run = |arguments: &[&str]| sandbox.run(&[&["models"], arguments].concat());
    let first = recorded(&sandbox, "first", "0.1", 0.9);
    recorded(&sandbox, "second", "0.2", 0.95);

    let version = run(&["register", "first", "digits", "--description", "good", "--tag", "k=v", "--json"]);
    let version = version.succeeded().result();
    // What `best` meant at that time.
    let source = format!("runs:/{}/checkpoints/epoch=2-step=6", first.info.run_id);
    assert_eq!((text(&version, "/source"), &version["version"]), (source.as_str(), &json!(1)));
    assert_eq!(
        text(&version, "/storage_location"),
        format!("{}/checkpoints/epoch=2-step=6", first.info.artifact_uri)
    );
    assert_eq!(version["tags"], json!([{"key": "k", "value": "v"}]));
    run(&["register", "second:checkpoints/epoch=1-step=3", "digits"]).succeeded();
    run(&["register", "second:checkpoints/absent", "digits"]).refused(&["no artifact 'checkpoints/absent'"]);
    run(&["register", "second:../../other", "digits"]).refused(&["no path among a run's artifacts"]);
    run(&["register", "third", "digits"]).refused(&["no run 'third'"]);
    run(&["register", "first", "a/b"]).refused(&["model name"]);

    let promoted = run(&["promote", "digits", "1", "--to", "production", "--alias", "champion", "--json"]);
    let promoted = promoted.succeeded().result();
    assert_eq!(
        (text(&promoted, "/current_stage"), text(&promoted, "/aliases/0")),
        ("Production", "champion")
    );
    run(&["promote", "digits", "latest", "--to", "Production", "--archive"]).succeeded();
    let versions = run(&["versions", "digits", "--json"]).succeeded().result();
    let stages: Vec<_> = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|version| text(version, "/current_stage").to_owned())
        .collect();
    assert_eq!(stages, ["Production", "Archived"], "the newest comes first");
    run(&["promote", "digits", "1", "--to", "somewhere"]).refused(&["None, Staging, Production, Archived"]);
    run(&["promote", "digits", "7", "--alias", "x"]).refused(&["no version '7'", "2, 1, champion"]);
    run(&["promote", "digits", "1"]).refused(&["--to"]);

    run(&["alias", "digits", "champion", "2"]).succeeded();
    run(&["alias", "digits", "v3", "2"]).refused(&["reserved"]);
    let shown = run(&["show", "digits", "--json"]).succeeded().result();
    assert_eq!(shown["aliases"], json!([{"alias": "champion", "version": 2}]));
    let table = run(&["show", "digits"]).succeeded().stdout;
    assert!(table.contains("champion") && table.contains("Archived"), "{table}");
    run(&["alias", "digits", "champion", "--delete"]).succeeded();

    let listed = run(&["list", "--filter", "name ILIKE 'DIG%'", "--json"]).succeeded().result();
    assert_eq!(text(&listed, "/0/name"), "digits");
    assert!(run(&["list"]).succeeded().stdout.contains("digits"));
    run(&["show", "digts"]).refused(&["no model 'digts'", "did you mean 'digits'?"]);

    run(&["delete", "digits"]).refused(&["--version"]);
    run(&["delete", "digits", "--version", "1", "--version", "9"]).refused(&["no version '9'"]);
    run(&["delete", "digits", "--version", "1"]).succeeded();
    assert_eq!(run(&["versions", "digits", "--json"]).succeeded().result().as_array().unwrap().len(), 1);
    run(&["delete", "digits", "--all"]).succeeded();
    assert_eq!(run(&["list", "--json"]).succeeded().result(), json!([]));
}

#[test]
fn versions_are_compared_and_traced_to_their_origin() {
    let sandbox = Sandbox::without_worker();
    let run = |arguments: &[&str]| sandbox.run(&[&["models"], arguments].concat());
    let first = recorded(&sandbox, "first", "0.1", 0.9);
    let second = recorded(&sandbox, "second", "0.2", 0.95);
    for name in ["first", "second"] {
        run(&["register", name, "digits"]).succeeded();
    }
    run(&["promote", "digits", "2", "--alias", "champion"]).succeeded();

    let differs = run(&["diff", "digits", "1", "champion", "--json"]).succeeded().result();
    assert_eq!(differs["versions"], json!([1, 2]));
    assert_eq!(differs["runs"], json!([first.info.run_id, second.info.run_id]));
    assert_eq!(differs["params"], json!({"optimizer.lr": ["0.1", "0.2"]}));
    assert_eq!(differs["metrics"], json!({"test/accuracy": [0.9, 0.95]}));
    assert_eq!(differs["tags"], json!({"team": ["first", "second"]}));
    assert_eq!(differs["config"], json!({"only_in_config": ["first", "second"]}));
    assert_eq!(differs["version"]["aliases"], json!([null, "champion"]));
    let table = run(&["diff", "digits", "1", "2"]).succeeded().stdout;
    for word in ["optimizer.lr", "0.95", "version 2", "only_in_config"] {
        assert!(table.contains(word), "'{word}' is not in:\n{table}");
    }
    assert!(run(&["diff", "digits", "1", "1"]).succeeded().stderr.contains("do not differ"));

    let origin: Value = run(&["lineage", "digits", "champion", "--json"]).succeeded().result();
    assert_eq!(text(&origin, "/run/info/run_id"), second.info.run_id);
    assert_eq!(text(&origin, "/config/only_in_config"), "second");
    assert_eq!(text(&origin, "/datasets/0/dataset/digest"), "d1");
    assert_eq!(origin["code"], json!({"git commit": "abc123"}));
    let table = run(&["lineage", "digits", "1"]).succeeded().stdout;
    for word in ["first", "ada", "abc123", "digits", "training", ".hydra/config.yaml", "optimizer.lr"] {
        assert!(table.contains(word), "'{word}' is not in:\n{table}");
    }

    let store = store(&sandbox);
    store.delete_run(&first.info.run_id).unwrap();
    store.purge_run(&first.info.run_id).unwrap();
    assert!(run(&["lineage", "digits", "1"]).succeeded().stdout.contains("not in this store"));
}
