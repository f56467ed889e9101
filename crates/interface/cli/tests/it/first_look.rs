//! What a new user types first.

use crate::harness::{SHORT, Sandbox, text};

#[test]
fn every_command_has_help_with_examples() {
    let sandbox = Sandbox::new();
    for command in ["train", "validate", "test", "predict", "runs list", "components show", "config show"] {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = sandbox.run(&arguments).succeeded().stdout;
        assert!(
            help.contains("Example")
                && help.contains(&format!("fulmen {}", command.split(' ').next().unwrap())),
            "{command}: {help}"
        );
    }
    sandbox.run(&["trian"]).refused(&["train"]);
}

#[test]
fn the_shipped_configuration_fits_every_component_it_names() {
    let sandbox = Sandbox::new();
    let groups = [
        "model=mlp",
        "model=lenet",
        "model=resnet18",
        "model=resnet152",
        "dataset=mnist",
        "dataset=cifar10",
        "callbacks=[default,early_stopping,timer,spike_detection,on_exception_checkpoint,prediction_writer]",
        "callbacks=[default,learning_rate_finder,batch_size_finder,gradient_accumulation_scheduler]",
        "callbacks=[default,ema_weight_averaging,stochastic_weight_averaging,backbone_finetuning]",
        "callbacks=[default,weight_averaging,throughput_monitor,device_stats_monitor]",
        "experiment=quickstart",
    ];
    for group in groups {
        sandbox.run(&["config", "show", "--check", group]).succeeded();
    }
    let optimizers =
        ["adafactor", "adagrad", "adam", "adamw", "lamb", "lion", "muon", "nadam", "radam", "rmsprop", "sgd"];
    for optimizer in optimizers {
        sandbox.run(&["config", "show", "--check", &format!("optimizer={optimizer}")]).succeeded();
    }
    let schedulers = [
        "constant",
        "cosine",
        "cosine_warm_restarts",
        "exponential",
        "inverse_sqrt",
        "linear",
        "linear_warmup",
        "multi_step",
        "one_cycle",
        "polynomial",
        "reduce_on_plateau",
        "step",
    ];
    for scheduler in schedulers {
        sandbox.run(&["config", "show", "--check", &format!("scheduler={scheduler}")]).succeeded();
    }
    for then in ["scheduler@scheduler.then=polynomial", "scheduler.then=null"] {
        sandbox.run(&["config", "show", "--check", "scheduler=linear_warmup", then]).succeeded();
    }
    for workload in ["mlp", "resnet18", "gpt", "lstm"] {
        sandbox.run(&["config", "show", "--check", &format!("experiment=bench_{workload}")]).succeeded();
    }
}

#[test]
fn the_quickstart_learns_the_digits_and_says_what_to_do_next() {
    let sandbox = Sandbox::new();
    let finished = sandbox.run(&["train"]).succeeded();
    for words in ["fulmen runs list", "fulmen predict run=", "accuracy"] {
        assert!(finished.stdout.contains(words), "{words}: {}", finished.stdout);
    }
    assert!(finished.stderr.contains("epoch 1/"), "{}", finished.stderr);
    let runs = sandbox.run(&["runs", "list", "--json"]).succeeded().result();
    let metrics = runs[0]["data"]["metrics"].as_array().unwrap();
    let accuracy = metrics.iter().find(|metric| metric["key"] == "test/accuracy").unwrap();
    assert!(accuracy["value"].as_f64().unwrap() >= 0.98, "{accuracy}");
}

#[test]
fn what_a_run_wrote_lies_where_hydra_and_mlflow_users_look() {
    let sandbox = Sandbox::new();
    let result = sandbox.train(&["model=mlp", "seed=7"]);
    let folder = std::path::Path::new(text(&result, "/folder"));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(read(".hydra/overrides.yaml").contains("model=mlp"));
    assert!(read(".hydra/config.yaml").contains("seed: 7"));
    assert!(read(".hydra/hydra.yaml").starts_with("hydra:"));
    for name in ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"] {
        assert!(folder.join("artifacts/checkpoints/best").join(name).is_file(), "{name}");
    }
    assert!(!folder.join("journal").exists(), "what is in the store is not kept twice");
}

#[test]
fn a_sweep_runs_every_job() {
    let sandbox = Sandbox::new();
    let arguments: Vec<&str> = ["train", "--multirun", "model=mlp", "optimizer.lr=1e-2,1e-3"]
        .iter()
        .chain(&SHORT)
        .copied()
        .collect();
    sandbox.run(&arguments).succeeded();
    let runs = sandbox.run(&["runs", "list", "--json"]).succeeded().result();
    assert_eq!(runs.as_array().unwrap().len(), 2);
}

#[test]
fn a_record_is_written_where_hydra_is_told_to() {
    let sandbox = Sandbox::new();
    sandbox.train(&["model=mlp", "hydra.run.dir=out/${hydra.job.name}"]);
    let overrides = std::fs::read_to_string(sandbox.path().join("out/fulmen/.hydra/overrides.yaml")).unwrap();
    assert!(overrides.contains("- model=mlp") && !overrides.contains("hydra.run.dir"), "{overrides}");
    let sweep = [
        "train",
        "--multirun",
        "model=mlp",
        "seed=1,2",
        "hydra.sweep.dir=sweep",
        "hydra.sweep.subdir=seed-${seed}",
    ];
    let arguments: Vec<&str> = sweep.iter().chain(&SHORT).copied().collect();
    sandbox.run(&arguments).succeeded();
    for seed in [1, 2] {
        let config =
            std::fs::read_to_string(sandbox.path().join(format!("sweep/seed-{seed}/.hydra/config.yaml")))
                .unwrap();
        assert!(config.contains(&format!("seed: {seed}\n")), "{config}");
    }
}

#[test]
fn a_config_of_the_users_own_is_found_in_conf() {
    let sandbox = Sandbox::new();
    sandbox.write("conf/model/tiny.yaml", "_target_: vision.mlp\nhidden: [8]\n");
    sandbox.write(
        "conf/experiment/mine.yaml",
        "# @package _global_\ndefaults:\n  - override /model: tiny\nseed: 3\n",
    );
    let shown = sandbox.run(&["config", "show", "experiment=mine", "--json"]).succeeded().result();
    assert_eq!((&shown["seed"], &shown["model"]["hidden"]), (&3.into(), &serde_json::json!([8])));
}

#[test]
fn the_doctor_finds_libtorch_and_the_store() {
    let sandbox = Sandbox::new();
    let found = sandbox.run(&["doctor", "--json"]).succeeded().result();
    let graded = |name: &str| {
        found.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()["grade"].clone()
    };
    assert_eq!(
        (graded("libtorch"), graded("store"), graded("worker")),
        ("good".into(), "good".into(), "good".into())
    );
}
