//! A trained run, used.

use std::fs;
use std::path::Path;

use crate::harness::{Sandbox, text};
use crate::images::{write_folder, write_png};

#[test]
fn a_folder_of_the_users_own_is_learnt_and_predicted() {
    let sandbox = Sandbox::new();
    write_folder(&sandbox.path().join("photos"), &["left", "right", "low"], 20);
    let learn = [
        "train",
        "--json",
        "dataset=image_folder",
        "dataset.root=photos",
        "dataset.image_size=16",
        "model=convnet",
        "trainer.max_epochs=12",
        "dataloader.batch_size=8",
        "optimizer.lr=0.01",
    ];
    let result = sandbox.run(&learn).succeeded().result();
    assert!(result["metrics"]["test/accuracy"].as_f64().unwrap() > 0.9, "{result:#}");

    write_png(&sandbox.path().join("new/a.png"), 16, 1);
    write_png(&sandbox.path().join("new/b.png"), 16, 2);
    let run = format!("run={}", text(&result, "/run_id"));
    let predicted = sandbox.run(&["predict", &run, "input=new"]).succeeded().lines();
    assert_eq!(predicted.len(), 2);
    assert!(text(&predicted[0], "/file").ends_with("new/a.png"));
    assert_eq!((text(&predicted[0], "/label"), text(&predicted[1], "/label")), ("right", "low"));
    assert!(predicted[0]["probability"].as_f64().unwrap() > 0.5);

    sandbox.run(&["predict", &run, "input=new/b.png", "output=out.jsonl"]).succeeded();
    assert!(fs::read_to_string(sandbox.path().join("out.jsonl")).unwrap().contains("\"label\":\"low\""));

    let tested = sandbox.run(&["test", &run, "--json"]).succeeded().result();
    assert_eq!(tested["metrics"]["accuracy"], result["metrics"]["test/accuracy"]);
    sandbox.run(&["validate", &run]).succeeded();

    sandbox.write("new/c.png", "no picture");
    sandbox.run(&["predict", &run, "input=new"]).refused(&["new/c.png"]);
    sandbox.run(&["predict", &run, "input=nowhere"]).refused(&["nowhere"]);
}

#[test]
fn weights_of_a_run_start_another_by_name() {
    let sandbox = Sandbox::new();
    let result = sandbox.train(&[
        "model=resnet18",
        "trainer.limit_train_batches=1",
        "trainer.limit_val_batches=1",
        "trainer.limit_test_batches=1",
    ]);
    let weights = Path::new(text(&result, "/folder")).join("artifacts/checkpoints/best/model.safetensors");
    let header = header(&weights);
    for name in [
        "conv1.weight",
        "layer1.0.bn1.running_mean",
        "layer4.1.conv2.weight",
        "layer2.0.downsample.0.weight",
        "fc.bias",
    ] {
        assert!(header.get(name).is_some(), "{name} is not in {header}");
    }
    let weights = format!("weights={}", weights.display());
    let log = |classes: &str| {
        let arguments = ["train", "--json", "model=resnet18", &weights, classes, "trainer.fast_dev_run=true"];
        let events = sandbox.run(&arguments).succeeded().lines();
        events
            .iter()
            .find(|event| event["event"] == "log")
            .map(|event| text(event, "/message").to_owned())
            .unwrap()
    };
    assert!(log("model.num_classes=10").contains("tensors loaded by name"));
    // Another number of classes: the head does not fit, and is named.
    assert!(
        log("model.num_classes=12").contains("fc.weight is [10, 512] in the file, [12, 512] in the model")
    );
}

/// The header of a safetensors file: its length in eight bytes, then JSON.
fn header(path: &Path) -> serde_json::Value {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    serde_json::from_slice(&bytes[8..8 + length]).unwrap()
}
