//! Runs, components, configurations: what can be asked for.

use crate::harness::{Sandbox, text};

#[test]
fn runs_are_listed_shown_compared_and_deleted() {
    let sandbox = Sandbox::new();
    let first = sandbox.train(&["model=mlp", "mlflow.run_name=first", "+mlflow.tags.team=blue"]);
    let second = sandbox.train(&["model=mlp", "mlflow.run_name=second", "optimizer.lr=0.01"]);
    let id = text(&first, "/run_id");

    let listed = sandbox
        .run(&["runs", "list", "--json", "--filter", "params.`optimizer.lr` = '0.01'"])
        .succeeded()
        .result();
    assert_eq!((listed.as_array().unwrap().len(), text(&listed, "/0/info/run_name")), (1, "second"));
    assert!(sandbox.run(&["runs", "list"]).succeeded().stdout.contains(&id[..8]));

    let shown = sandbox.run(&["runs", "show", "first", "--json"]).succeeded().result();
    assert_eq!(text(&shown, "/info/run_id"), id);
    assert_eq!(text(&shown, "/info/status"), "FINISHED");
    assert!(
        shown["data"]["tags"]
            .as_array()
            .unwrap()
            .iter()
            .any(|tag| tag["key"] == "team" && tag["value"] == "blue")
    );
    assert!(sandbox.run(&["runs", "show", &id[..6]]).succeeded().stdout.contains("vision.mlp"));

    let compared = sandbox.run(&["runs", "compare", "first", "second", "--json"]).succeeded().result();
    assert_eq!(compared["params"]["optimizer.lr"], serde_json::json!(["0.001", "0.01"]));
    assert!(compared["params"].get("model._target_").is_none(), "what is alike does not differ");

    sandbox.run(&["runs", "delete", "first"]).succeeded();
    assert_eq!(sandbox.run(&["runs", "list", "--json"]).succeeded().result().as_array().unwrap().len(), 1);
    assert_eq!(
        sandbox.run(&["runs", "list", "--json", "--deleted"]).succeeded().result().as_array().unwrap().len(),
        1
    );
    sandbox.run(&["runs", "delete", "--hard", "second"]).succeeded();
    assert!(!std::path::Path::new(text(&second, "/folder")).exists());
    sandbox.run(&["runs", "show", "secnd"]).refused(&["no run 'secnd'"]);
    sandbox.run(&["runs", "list", "--filter", "metrics.x >"]).refused(&["filter"]);
}

#[test]
fn components_are_listed_and_shown_with_their_settings() {
    let sandbox = Sandbox::new();
    let models = sandbox.run(&["components", "list", "model"]).succeeded().stdout;
    for name in ["vision.resnet", "vision.lenet", "vision.mlp", "nlp.gpt", "timeseries.lstm"] {
        assert!(models.contains(name), "{name}: {models}");
    }
    assert!(sandbox.run(&["components", "show", "vision.resnet"]).succeeded().stdout.contains("depth"));
    let schema = sandbox.run(&["components", "show", "adamw", "--json"]).succeeded().result();
    assert!(schema["schema"]["properties"]["lr"]["description"].is_string());
    sandbox.run(&["components", "show", "vision.resent"]).refused(&["did you mean 'vision.resnet'"]);
    sandbox.run(&["components", "list", "modle"]).refused(&["did you mean 'model'"]);
}

#[test]
fn every_component_and_every_setting_says_what_it_is_for() {
    let sandbox = Sandbox::new();
    let all = sandbox.run(&["components", "list", "--json"]).succeeded().result();
    let all = all.as_array().unwrap();
    assert!(all.len() > 25, "{} components: is a plugin not linked?", all.len());
    for component in all {
        assert!(!component["description"].as_str().unwrap().is_empty(), "{}", component["name"]);
        for (name, field) in component["schema"]["properties"].as_object().into_iter().flatten() {
            let documented = field["description"].is_string();
            assert!(documented, "{}.{name} has no description", component["name"]);
        }
    }
}

#[test]
fn a_configuration_is_shown_whole_in_part_and_as_json() {
    let sandbox = Sandbox::new();
    let shown = sandbox.run(&["config", "show", "trainer.max_epochs=3"]).succeeded().stdout;
    assert!(shown.contains("max_epochs: 3") && shown.contains("${oc.env:"), "{shown}");
    let package = sandbox.run(&["config", "show", "--package", "optimizer"]).succeeded().stdout;
    assert!(package.contains("lr:") && !package.contains("trainer"), "{package}");
    assert!(
        sandbox
            .run(&["config", "show", "--info", "defaults-tree"])
            .succeeded()
            .stdout
            .contains("model: convnet")
    );
    assert!(sandbox.run(&["train", "--cfg", "hydra"]).succeeded().stdout.starts_with("hydra:"));
    let uri = sandbox
        .run(&["train", "--cfg", "job", "--package", "mlflow.tracking_uri", "--resolve"])
        .succeeded()
        .stdout;
    assert_eq!(uri, "sqlite:///runs/fulmen.db\n");
    assert!(sandbox.run(&["train", "--info", "searchpath"]).succeeded().stdout.contains("fulmen"));
}

#[test]
fn help_lists_the_groups_the_users_own_among_them() {
    let sandbox = Sandbox::new();
    sandbox.write("conf/model/tiny.yaml", "_target_: vision.mlp\n");
    let help = sandbox.run(&["train", "--help"]).succeeded().stdout;
    assert!(
        help.contains("Configuration groups:") && help.contains("resnet18") && help.contains("tiny"),
        "{help}"
    );
}

#[test]
fn shells_are_offered_groups_options_and_keys() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            sandbox
                .run(&["completions", shell])
                .succeeded()
                .stdout
                .contains(&format!("COMPLETE={shell} fulmen"))
        );
    }
    let offered = |word: &str| {
        let mut command = sandbox.command(&["--", "fulmen", "train", word]);
        command.env("COMPLETE", "fish");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(offered("model=res").contains("model=resnet18"), "{}", offered("model=res"));
    assert!(offered("trainer.max_").contains("trainer.max_epochs="), "{}", offered("trainer.max_"));
}
