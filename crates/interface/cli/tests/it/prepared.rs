//! Prepared data that a run leaves for the next.

use std::fs;

use serde_json::Value;

use crate::harness::{Sandbox, text};
use crate::images::{write_folder, write_png};

fn learn(sandbox: &Sandbox, overrides: &[&str]) -> Value {
    let photos = [
        "dataset=image_folder",
        "dataset.root=photos",
        "dataset.image_size=16",
        "model=mlp",
        "dataloader.batch_size=8",
    ];
    sandbox.train(&[&photos, overrides].concat())
}

/// What depends on every pixel.
fn measured(result: &Value) -> [u64; 2] {
    ["train/loss", "test/loss"].map(|name| result["metrics"][name].as_f64().unwrap().to_bits())
}

fn entries(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.run(&["cache", "list", "--json"]).succeeded().result().as_array().unwrap().clone()
}

#[test]
fn decoded_images_are_found_by_the_next_run_and_made_anew_where_a_file_changed() {
    let sandbox = Sandbox::new();
    write_folder(&sandbox.path().join("photos"), &["left", "right"], 10);
    let first = learn(&sandbox, &[]);
    let kept = entries(&sandbox);
    assert_eq!((kept.len(), text(&kept[0], "/config/_target_")), (1, "vision.image_folder"));
    let again = learn(&sandbox, &[]);
    assert_eq!(measured(&again), measured(&first), "what is found is what was decoded");
    assert_eq!(entries(&sandbox).len(), 1);
    let without = learn(&sandbox, &["cache.size_limit_gib=0"]);
    assert_eq!(measured(&without), measured(&first));

    let image = fs::read_dir(sandbox.path().join("photos")).unwrap().next().unwrap().unwrap().path();
    let image = fs::read_dir(image).unwrap().next().unwrap().unwrap().path();
    // Like none of the classes.
    write_png(&image, 16, 3);
    learn(&sandbox, &[]);
    assert_eq!(entries(&sandbox).len(), 2, "other files are another entry");
    learn(&sandbox, &["dataset.image_size=8"]);
    assert_eq!(entries(&sandbox).len(), 3, "another size is another entry");
}

#[test]
fn an_encrypted_cache_keeps_no_pixel_in_clear_and_asks_for_its_key() {
    let sandbox = Sandbox::new();
    write_folder(&sandbox.path().join("photos"), &["left", "right"], 10);
    let key = format!("encryption.master_key=file:{}", sandbox.path().join("master.key").display());
    let on = ["encryption.cache=true", &key];
    let photos = ["train", "dataset=image_folder", "dataset.root=photos", "model=mlp"];
    sandbox.run(&[&photos[..], &["encryption.cache=true"]].concat()).refused(&["encryption.master_key"]);
    sandbox.run(&["keys", "generate", &key]).succeeded();
    let first = learn(&sandbox, &on);
    let kept = entries(&sandbox);
    assert_eq!((kept.len(), &kept[0]["encrypted"]), (1, &Value::Bool(true)));
    let data = std::path::Path::new(text(&kept[0], "/path")).join("data");
    assert_eq!(crate::resume::in_clear(&data), Vec::<std::path::PathBuf>::new());
    assert_eq!(measured(&learn(&sandbox, &on)), measured(&first));
    assert_eq!(entries(&sandbox).len(), 1);
    // The run itself is not encrypted.
    let record = std::path::Path::new(text(&first, "/folder")).join("artifacts/metrics.jsonl");
    assert!(fs::read_to_string(record).unwrap().starts_with('{'));
}
