//! The mistakes that are made most, and what they are told; the page `docs/configuration.md` shows these texts.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests may panic")]

use std::fs;
use std::path::Path;

use fulmen_configuration::{Composer, ConfigError, SearchPath};

const TREE: [(&str, &str); 4] = [
    (
        "config",
        "defaults:\n  - model: resnet\n  - dataset: cifar\n  - _self_\n\nseed: 42\ntrainer:\n  max_epochs: 10\n  precision: 32\nrun_name: ${model.name}_${seed}\n",
    ),
    ("model/resnet", "name: resnet\ndepth: 18\nnum_classes: ${dataset.num_classes}\n"),
    ("model/vit", "name: vit\ndepth: 12\n"),
    ("dataset/cifar", "name: cifar\nnum_classes: 10\n"),
];

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(format!("{name}.yaml"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Composes and resolves `main` (or the tree's own config) and gives the error's text with short paths.
fn mistake(main: Option<&str>, overrides: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in TREE {
        write(folder.path(), name, text);
    }
    let name = match main {
        Some(text) => {
            write(folder.path(), "train", text);
            "train"
        }
        None => "config",
    };
    let composer = Composer::new(SearchPath::folder(folder.path()));
    let result = composer.compose(name, overrides).and_then(|config| config.resolve());
    let error: ConfigError = result.unwrap_err();
    error.to_text().replace(&folder.path().display().to_string(), "config")
}

fn check(main: Option<&str>, overrides: &[&str], expect: &str) {
    assert_eq!(mistake(main, overrides), expect);
    let page =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md")).unwrap();
    assert!(page.contains(expect), "docs/configuration.md does not show:\n{expect}");
}

#[test]
fn a_typo_in_a_group_is_told_the_group() {
    check(
        None,
        &["modle=vit"],
        "override 1 (modle=vit), column 7: no key 'modle': the configuration has model, dataset, seed, trainer, run_name\n  help: did you mean 'model'? To add it, write +modle=vit",
    );
}

#[test]
fn a_typo_in_an_option_is_told_the_options() {
    check(
        None,
        &["model=vti"],
        "override 1 (model=vti), column 1: in 'config': no config 'model/vti' in config\n  help: did you mean 'vit'? 'model' has resnet, vit",
    );
}

#[test]
fn a_typo_in_a_key_is_told_the_key() {
    check(
        None,
        &["trainer.max_epoch=5"],
        "override 1 (trainer.max_epoch=5), column 19: no key 'trainer.max_epoch': 'trainer' has max_epochs, precision\n  help: did you mean 'trainer.max_epochs'? To add it, write +trainer.max_epoch=5",
    );
}

#[test]
fn a_new_key_is_told_the_plus() {
    check(
        None,
        &["optimizer.lr=0.1"],
        "override 1 (optimizer.lr=0.1), column 14: no key 'optimizer': the configuration has model, dataset, seed, trainer, run_name\n  help: to add it, write +optimizer.lr=0.1",
    );
}

#[test]
fn a_bad_interpolation_is_told_the_place_and_the_key() {
    check(
        Some("seed: 42\nrun_name: ${sed}\n"),
        &[],
        "config/train.yaml:2:11: interpolation to a key that does not exist: 'sed'\n  help: did you mean 'seed'?",
    );
}

#[test]
fn a_cycle_is_named() {
    check(
        Some("a: ${b}\nb: ${c}\nc: ${a}\n"),
        &[],
        "config/train.yaml:1:4: values refer to each other in a circle: a → b → c → a\n  help: give one of them a value of its own",
    );
}

#[test]
fn a_wrong_type_is_told_both_places() {
    check(
        Some("trainer:\n  precision: 32\n"),
        &["trainer=[1]"],
        "override 1 (trainer=[1]), column 9: 'trainer' is a mapping (config/train.yaml:2:3) and cannot become a list\n  help: give both the same kind, or replace it on the command line: ~trainer +trainer=…",
    );
}

#[test]
fn an_unset_value_is_told_how_to_set_it() {
    check(
        Some("data_root: ???\npath: ${data_root}/train\n"),
        &[],
        "config/train.yaml:2:7: interpolation to 'data_root', which must be set and is not\n  help: set it: data_root=VALUE",
    );
}

#[test]
fn a_duplicate_key_is_told_both_lines() {
    check(
        Some("seed: 1\nlr: 0.1\nseed: 2\n"),
        &[],
        "config/train.yaml:3:1: key 'seed' is there already (line 1)\n  help: keep one of the two 'seed' keys",
    );
}

#[test]
fn a_bad_indentation_is_told_its_line() {
    check(
        Some("trainer:\n  max_epochs: 10\n   precision: 32\n"),
        &[],
        "config/train.yaml:3:13: mapping values are not allowed in this context\n  help: give keys of one mapping the same indentation; put a text that holds ': ' in quotes",
    );
}

#[test]
fn an_equals_sign_in_a_value_is_told_the_quotes() {
    check(
        None,
        &["+ckpt=epoch=9.ckpt"],
        "override 1 (+ckpt=epoch=9.ckpt), column 12: expected the end of the value, found '='\n  help: put a value that holds '=' in quotes: \"+ckpt='epoch=9.ckpt'\"",
    );
}
