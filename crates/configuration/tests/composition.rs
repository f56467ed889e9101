//! What a composition does, on small trees: origins, order, packages, overrides, sweeps, embedded trees.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use fulmen_configuration::interpolation::Resolvers;
use fulmen_configuration::{Composer, Config, ConfigSource, Origin, SearchPath, Value, info, sweep};
use serde_json::json;

/// A composer for files that are given as text.
fn composer(files: &[(&str, &str)]) -> Composer {
    let files = files.iter().map(|(name, text)| (format!("{name}.yaml"), (*text).to_owned()));
    let files: BTreeMap<String, String> = files.collect();
    Composer::new(SearchPath::new().with("main", ConfigSource::Files(Arc::new(files))))
}

const TREE: [(&str, &str); 6] = [
    (
        "config",
        "defaults:\n- model: resnet\n- data: cifar\n- _self_\nseed: 1\ntags: [a]\nname: ${model.name}-${seed}\n",
    ),
    ("model/resnet", "name: resnet\ndepth: 18\nclasses: ${data.classes}\n"),
    ("model/vit", "name: vit\ndepth: 12\nhead: {dim: 64, act: gelu}\n"),
    ("data/cifar", "classes: 10\n"),
    ("data/inet", "classes: 1000\n"),
    ("experiment/big", "# @package _global_\ndefaults:\n- override /model: vit\nseed: 7\n"),
];

fn compose(overrides: &[&str]) -> Config {
    composer(&TREE).compose("config", overrides).unwrap()
}

fn line_of(origin: &Origin) -> (String, u32) {
    let (file, line, _) = origin.file_position().unwrap();
    (file.to_owned(), line)
}

#[test]
fn every_value_knows_the_file_or_the_override_it_came_from() {
    let config = compose(&["model.depth=50", "data=inet"]);
    let at = |key: &str| config.select(key).unwrap().origin().clone();
    assert_eq!(line_of(&at("model.name")), ("<embedded>/model/resnet.yaml".into(), 1));
    assert_eq!(line_of(&at("data.classes")), ("<embedded>/data/inet.yaml".into(), 1));
    assert_eq!(line_of(&at("seed")), ("<embedded>/config.yaml".into(), 5));
    assert_eq!(at("model.depth"), Origin::Override { index: 0, text: "model.depth=50".into(), column: 13 });
}

#[test]
fn resolution_keeps_the_origin_of_the_value_that_was_found() {
    let config = compose(&[]).resolve().unwrap();
    let classes = config.select("model.classes").unwrap();
    assert_eq!(classes.value, Value::Int(10));
    assert_eq!(line_of(classes.origin()).0, "<embedded>/data/cifar.yaml");
}

#[test]
fn an_experiment_overrides_groups_and_values() {
    let config = compose(&["+experiment=big"]).resolve().unwrap();
    assert_eq!(config.choices()["model"].as_deref(), Some("vit"));
    assert_eq!(
        config.to_json(),
        json!({
            "model": {"name": "vit", "depth": 12, "head": {"dim": 64, "act": "gelu"}},
            "data": {"classes": 10},
            "seed": 7,
            "tags": ["a"],
            "name": "vit-7",
        })
    );
}

#[test]
fn a_deleted_key_is_gone_and_an_added_one_is_there() {
    let config = compose(&["~model.classes", "~data.classes", "+model.width=2", "++seed=3"]);
    assert!(config.select("data.classes").is_none());
    assert_eq!(config.select("model.width").unwrap().value, Value::Int(2));
    assert_eq!(config.select("seed").unwrap().value, Value::Int(3));
}

#[test]
fn the_yaml_is_omegaconfs() {
    let text = compose(&["model=vit", "+note='1'"]).to_yaml();
    assert_eq!(
        text,
        "model:\n  name: vit\n  depth: 12\n  head:\n    dim: 64\n    act: gelu\ndata:\n  classes: 10\nseed: 1\ntags:\n- a\nname: ${model.name}-${seed}\nnote: '1'\n"
    );
}

#[test]
fn a_sweep_is_the_product_with_the_last_key_fastest() {
    let jobs = sweep(&["a=1,2", "b=range(2)", "c=x"]).unwrap();
    let texts: Vec<String> = jobs.iter().map(|job| job.join(" ")).collect();
    assert_eq!(texts, ["a=1 b=0 c=x", "a=1 b=1 c=x", "a=2 b=0 c=x", "a=2 b=1 c=x"]);
}

#[test]
fn a_job_of_a_multirun_knows_its_number() {
    let composer = composer(&TREE);
    let multirun =
        composer.multirun(Some("config"), &["model=glob(*)", "hydra.sweeper.max_batch_size=1"]).unwrap();
    assert_eq!(multirun.jobs, [["model=resnet"], ["model=vit"]]);
    assert_eq!(multirun.batch_sizes, [1, 1]);
    let job = composer.compose_job(&multirun, 1).unwrap();
    assert_eq!(job.value("hydra.sweep.subdir").unwrap().unwrap().value, Value::Int(1));
    assert_eq!(job.choices()["model"].as_deref(), Some("vit"));
    assert!(composer.compose_job(&multirun, 2).is_err());
}

#[test]
fn a_resolver_of_the_program_is_called() {
    let mut resolvers = Resolvers::default();
    resolvers.register("double", |call| match call.arguments {
        [node] => match node.value {
            Value::Int(value) => Ok(Value::Int(value * 2)),
            _ => Err("expected an integer".into()),
        },
        _ => Err("expected one argument".into()),
    });
    let composer =
        composer(&[("config", "a: 4\nb: ${double:${a}}\nc: ${double:x}\n")]).with_resolvers(resolvers);
    let config = composer.compose("config", &["c=1"]).unwrap().resolve().unwrap();
    assert_eq!(config.select("b").unwrap().value, Value::Int(8));
    let error = composer.compose::<&str>("config", &[]).unwrap().resolve().unwrap_err();
    assert_eq!(error.to_text(), "<embedded>/config.yaml:3:4: double: expected an integer");
}

#[test]
fn a_root_that_comes_first_hides_the_files_of_the_next() {
    let source = |text: &str| {
        let files = BTreeMap::from([("config.yaml".to_owned(), text.to_owned())]);
        ConfigSource::Files(Arc::new(files))
    };
    let path = SearchPath::new().with("mine", source("a: 1\n")).with("built in", source("a: 2\nb: 3\n"));
    let config = Composer::new(path).compose::<&str>("config", &[]).unwrap();
    assert_eq!(config.to_json(), json!({"a": 1}));
}

#[test]
fn a_config_that_includes_itself_is_an_error() {
    let composer = composer(&[("config", "defaults: [g/a]\n"), ("g/a", "defaults: [/g/a]\nx: 1\n")]);
    let error = composer.compose::<&str>("config", &[]).unwrap_err();
    assert_eq!(error.kind(), "defaults_list");
    assert!(error.to_string().contains("includes itself"), "{error}");
}

#[test]
fn values_that_contain_each_other_are_an_error() {
    let composer = composer(&[("config", "a: {b: '${c}'}\nc: {d: '${a}'}\n")]);
    let error = composer.compose::<&str>("config", &[]).unwrap().resolve().unwrap_err();
    assert_eq!(error.kind(), "interp_cycle");
}

#[test]
fn a_key_of_endless_parts_is_an_error() {
    let override_text = format!("+{}=1", vec!["a"; 5000].join("."));
    assert_eq!(composer(&TREE).compose("config", &[override_text]).unwrap_err().kind(), "value");
}

#[test]
fn completion_offers_groups_options_and_keys() {
    let composer = composer(&TREE);
    let complete = |word: &str| info::complete(&composer, Some("config"), &[], word).unwrap();
    assert_eq!(complete("mod"), ["model.", "model="]);
    assert_eq!(complete("model=v"), ["model=vit"]);
    assert_eq!(complete("model.d"), ["model.depth="]);
    assert_eq!(complete("+exp"), ["+experiment="]);
    assert_eq!(complete("model.depth="), ["model.depth=18"]);
}

#[test]
fn the_help_lists_every_group_with_its_options() {
    let composer = composer(&TREE);
    let help = info::help(&composer, &composer.compose::<&str>("config", &[]).unwrap()).unwrap();
    assert!(help.contains("\nmodel: resnet, vit\n"), "{help}");
    assert!(!help.contains("hydra/"), "{help}");
}

#[test]
fn the_surroundings_of_a_job_follow_the_command_line() {
    let config = compose(&["seed=5", "hydra.run.dir=runs/${hydra.job.override_dirname}", "model=vit"]);
    let value = |key: &str| config.value(key).unwrap().unwrap();
    assert_eq!(value("hydra.run.dir").value, "runs/model=vit,seed=5".into());
    assert_eq!(value("hydra.runtime.choices.model").value, "vit".into());
    assert_eq!(value("hydra.overrides.task").as_list().unwrap().len(), 2);
    let error = composer(&TREE).compose("config", &["hydra.job.chdir=maybe"]).unwrap_err();
    assert_eq!(error.kind(), "type");
}

#[test]
fn the_record_of_a_run_is_what_hydra_writes() {
    let config = compose(&["seed=5", "model=vit", "hydra.job.name=train"]);
    let [(first, text), (_, hydra), (last, overrides)] = config.record();
    assert_eq!((first, text), ("config.yaml", config.to_yaml()));
    assert!(
        hydra.starts_with("hydra:\n  run:\n    dir: outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}\n"),
        "{hydra}"
    );
    assert!(hydra.contains("    name: train\n"), "{hydra}");
    assert_eq!((last, overrides.as_str()), ("overrides.yaml", "- seed=5\n- model=vit\n"));
}

#[test]
fn a_default_that_is_a_node_keeps_its_place() {
    let composer = composer(&[("config", "a: {x: 1, y: '${.x}'}\nb: '${oc.select:nothing,${a}}'\n")]);
    let config = composer.compose::<&str>("config", &[]).unwrap().resolve().unwrap();
    assert_eq!(config.to_json()["b"], json!({"x": 1, "y": 1}));
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let error =
        Composer::new(SearchPath::folder("no/such/folder")).compose::<&str>("config", &[]).unwrap_err();
    assert_eq!(
        error.to_text(),
        "no primary config 'config' in no/such/folder\n  help: there is no folder no/such/folder"
    );
}
