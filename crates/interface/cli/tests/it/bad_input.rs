//! Bad input ends in one clear message and exit code 2, before any training, and leaves no run behind.

use std::fs;

use crate::harness::{Sandbox, text};
use crate::images::{idx, write_folder, write_png};

/// `fulmen train` refuses, names `words`, and records nothing.
#[track_caller]
fn refuses(sandbox: &Sandbox, overrides: &[&str], words: &[&str]) {
    let arguments: Vec<&str> = ["train"].iter().chain(overrides).copied().collect();
    let finished = sandbox.run(&arguments).refused(words);
    assert!(!finished.stderr.contains("epoch 1"), "training had begun: {}", finished.stderr);
    let runs = sandbox.run(&["runs", "list", "--json"]).succeeded().result();
    assert_eq!(runs.as_array().unwrap().len(), 0, "a run was left behind");
}

#[test]
fn an_unknown_component() {
    refuses(
        &Sandbox::new(),
        &["model._target_=vision.resent"],
        &["model._target_", "did you mean 'vision.resnet'", "model._target_=vision.resent"],
    );
}

#[test]
fn an_unknown_option_of_a_group() {
    refuses(&Sandbox::new(), &["model=resnet19"], &["resnet19", "resnet18"]);
}

#[test]
fn an_unknown_field_in_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write("conf/model/mine.yaml", "# My own.\n_target_: vision.resnet\ndepth: 18\nnum_clases: 10\n");
    refuses(
        &sandbox,
        &["model=mine"],
        &["model.num_clases", "did you mean 'num_classes'", "conf/model/mine.yaml:4:"],
    );
}

#[test]
fn a_file_that_the_yaml_parser_stumbles_over() {
    let sandbox = Sandbox::new();
    sandbox.write("conf/model/mine.yaml", "_target_: vision.mlp\nhidden: [!!str, a]\n");
    refuses(&sandbox, &["model=mine"], &["conf/model/mine.yaml:2"]);
}

#[test]
fn an_unknown_key_on_the_command_line() {
    refuses(&Sandbox::new(), &["trainer.max_epoch=3"], &["max_epoch", "max_epochs"]);
}

#[test]
fn wrong_types_and_values_out_of_range_all_at_once() {
    refuses(
        &Sandbox::new(),
        &["trainer.max_epochs=many", "optimizer.lr=-1", "dataloader.batch_size=0"],
        &[
            "trainer.max_epochs: expected a whole number or null, found the text 'many'",
            "optimizer.lr: -1",
            "dataloader.batch_size: 0",
        ],
    );
}

#[test]
fn a_missing_dataset_folder() {
    refuses(&Sandbox::new(), &["dataset=image_folder", "dataset.root=/no/such/photos"], &["/no/such/photos"]);
}

#[test]
fn a_dataset_root_that_was_not_given() {
    refuses(&Sandbox::new(), &["dataset=image_folder"], &["dataset.root"]);
}

#[test]
fn a_corrupt_image() {
    let sandbox = Sandbox::new();
    write_folder(&sandbox.path().join("photos"), &["cat", "dog"], 12);
    let path = sandbox.path().join("photos/dog/007.png");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    refuses(&sandbox, &["dataset=image_folder", "dataset.root=photos"], &["dog/007.png"]);
}

#[test]
fn a_file_that_only_calls_itself_an_image() {
    let sandbox = Sandbox::new();
    write_folder(&sandbox.path().join("photos"), &["cat", "dog"], 12);
    sandbox.write("photos/cat/zzz.jpg", "not a picture");
    refuses(&sandbox, &["dataset=image_folder", "dataset.root=photos"], &["cat/zzz.jpg"]);
}

/// A whole small set in idx files, for tests to break.
fn write_idx(sandbox: &Sandbox, labels: &[u8]) {
    let images: Vec<u8> = (0..labels.len() * 28 * 28).map(|pixel| pixel as u8).collect();
    for part in ["train", "t10k"] {
        sandbox
            .write(&format!("data/{part}-images-idx3-ubyte"), idx(&[labels.len() as u32, 28, 28], &images));
        sandbox.write(&format!("data/{part}-labels-idx1-ubyte"), idx(&[labels.len() as u32], labels));
    }
}

const IDX: [&str; 4] = ["dataset=mnist", "dataset.root=data", "dataset.val_split=2", "model=mlp"];

#[test]
fn a_corrupt_idx_file() {
    let sandbox = Sandbox::new();
    write_idx(&sandbox, &[0, 1, 2, 3, 4, 5, 6, 7]);
    let path = sandbox.path().join("data/train-images-idx3-ubyte");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    refuses(&sandbox, &IDX, &["train-images-idx3-ubyte"]);
    fs::write(&path, b"PK\x03\x04 something else entirely").unwrap();
    refuses(&sandbox, &IDX, &["train-images-idx3-ubyte"]);
}

#[test]
fn a_label_out_of_range() {
    let sandbox = Sandbox::new();
    write_idx(&sandbox, &[0, 1, 2, 3, 4, 5, 6, 12]);
    refuses(&sandbox, &IDX, &["labels-idx1-ubyte", "12"]);
}

#[test]
fn a_model_whose_input_does_not_fit_the_data() {
    refuses(
        &Sandbox::new(),
        &["model=resnet18", "model.in_channels=3"],
        &["f32[B, 3, H, W]", "f32[B, 1, 8, 8]"],
    );
}

#[test]
fn a_task_that_does_not_fit_the_model() {
    refuses(&Sandbox::new(), &["task=regression"], &["model and task do not fit", "prediction"]);
}

#[test]
fn weights_that_are_missing_cut_or_of_another_model() {
    let sandbox = Sandbox::new();
    refuses(&sandbox, &["weights=no.safetensors"], &["no.safetensors"]);
    sandbox.write("cut.safetensors", [200_u8, 0, 0, 0, 0, 0, 0, 0, b'{']);
    refuses(&sandbox, &["weights=cut.safetensors"], &["cut.safetensors", "cut short"]);
    sandbox.write("pickle.pt", b"\x80\x02}q\x00.");
    refuses(&sandbox, &["weights=pickle.pt"], &["pickle.pt", "safetensors.torch.save_file"]);
}

#[test]
fn a_checkpoint_that_is_cut_or_not_ours() {
    let sandbox = Sandbox::new();
    let result = sandbox.train(&["model=mlp"]);
    let id = text(&result, "/run_id");
    write_png(&sandbox.path().join("digit.png"), 8, 1);
    let checkpoint = std::path::Path::new(text(&result, "/folder")).join("artifacts/checkpoints/best");
    let run = format!("run={id}");

    let weights = checkpoint.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 100]).unwrap();
    sandbox.run(&["predict", &run, "input=digit.png"]).refused(&["model.safetensors", "cut short"]);
    sandbox.run(&["test", &run]).refused(&["model.safetensors"]);
    sandbox.run(&["train", &format!("resume={id}"), "trainer.max_epochs=2"]).refused(&["model.safetensors"]);

    fs::write(checkpoint.join("manifest.json"), r#"{"epoch": 3}"#).unwrap();
    sandbox.run(&["predict", &run, "input=digit.png"]).refused(&["no checkpoint of Fulmen"]);
    sandbox
        .run(&["predict", &run, "input=digit.png", "checkpoint=epoch=9"])
        .refused(&["no checkpoint 'epoch=9'", "best"]);
}

#[test]
fn a_store_with_an_unknown_scheme() {
    let sandbox = Sandbox::new();
    sandbox.run(&["train", "mlflow.tracking_uri=sqlit:///runs.db"]).refused(&[
        "mlflow.tracking_uri",
        "sqlit",
        "sqlite",
    ]);
    sandbox.run(&["runs", "list", "mlflow.tracking_uri=runs.db"]).refused(&["sqlite:///runs.db"]);
    assert!(!sandbox.path().join("runs").exists());
}

#[test]
fn a_store_that_is_no_database() {
    let sandbox = Sandbox::new();
    sandbox.write("runs.db", "a text about runs, long enough to be taken for a file of some sort");
    sandbox.run(&["train", "mlflow.tracking_uri=sqlite:///runs.db"]).refused(&["runs.db"]);
}

#[test]
fn arguments_that_a_command_cannot_do_without() {
    let sandbox = Sandbox::new();
    sandbox.run(&["predict", "input=x.png"]).refused(&["x.png"]);
    sandbox.run(&["test", "checkpoint=best"]).refused(&["'run=' is missing"]);
    sandbox.run(&["test", "run=nosuchrun"]).refused(&["no run 'nosuchrun'"]);
    sandbox.run(&["train", "--config-dir", "nowhere"]).refused(&["nowhere"]);
}
