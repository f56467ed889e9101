//! Folders as users have them, and as they should not be.

use std::fs;
use std::path::Path;

use fulmen_base::Split;
use fulmen_utils::Address;
use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::datasets::testing::module;

/// Images of one colour each, `count` a class.
fn write(folder: &Path, classes: &[(&str, Rgb<u8>)], count: usize) {
    for (class, colour) in classes {
        fs::create_dir_all(folder.join(class)).unwrap();
        for index in 0..count {
            let extension = ["png", "JPG", "jpeg"][index % 3];
            let path = folder.join(class).join(format!("{index}.{extension}"));
            RgbImage::from_pixel(12, 9, *colour).save(path).unwrap();
        }
    }
}

const RED: Rgb<u8> = Rgb([255, 0, 0]);
const BLUE: Rgb<u8> = Rgb([0, 0, 255]);

fn split_folders() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("train"), &[("red", RED), ("blue", BLUE)], 6);
    write(&folder.path().join("valid"), &[("red", RED)], 2);
    write(&folder.path().join("test"), &[("blue", BLUE)], 3);
    folder
}

fn open(root: &Path, more: &Value) -> Result<Box<dyn DataModule>> {
    let mut settings = json!({"_target_": "vision.image_folder", "root": root, "image_size": 4});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut module = module(&settings, 0).unwrap();
    module.setup()?;
    Ok(module)
}

fn check_fault(root: &Path, expected: &[&str]) {
    let message = open(root, &json!({})).unwrap_err().to_string();
    for part in expected {
        assert!(message.contains(part), "'{part}' is not in: {message}");
    }
}

fn sizes(module: &dyn DataModule) -> [usize; 3] {
    [Split::Train, Split::Validation, Split::Test]
        .map(|split| module.dataset(split).map_or(0, |dataset| dataset.len()))
}

#[test]
fn parts_in_folders_of_their_own_are_taken_as_they_are() {
    let folder = split_folders();
    for cache_mb in [0, 10] {
        let images = open(folder.path(), &json!({"cache_mb": cache_mb})).unwrap();
        assert_eq!(sizes(images.as_ref()), [12, 2, 3]);
        assert_eq!(images.spec().class_names.unwrap(), ["blue", "red"]);
        let batch = images.dataset(Split::Validation).unwrap().batch(&[0, 1], Address::root(0)).unwrap();
        images.spec().schema.unify(&batch.schema()).unwrap();
        assert_eq!(Vec::<i64>::try_from(batch.get("label").unwrap()).unwrap(), [1, 1]);
        let red = batch.get("image").unwrap().double_value(&[0, 0, 2, 2]);
        assert!((red - (1.0 - 0.485) / 0.229).abs() < 0.05, "{red}");
    }
}

#[test]
fn a_root_of_classes_is_split_by_the_split_seed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("red", RED), ("blue", BLUE)], 10);
    fs::write(folder.path().join(".hidden"), "").unwrap();
    let settings = json!({"val_split": 0.2, "test_split": 4, "channels": "grey", "resize": [3, 5]});
    let images = open(folder.path(), &settings).unwrap();
    assert_eq!(sizes(images.as_ref()), [12, 4, 4]);
    assert_eq!(images.spec().schema.to_string(), "{image: f32[B, 1, 3, 5], label: i64[B]}");
}

#[test]
fn a_part_without_a_folder_is_held_out_of_the_training_images() {
    let folder = split_folders();
    fs::remove_dir_all(folder.path().join("valid")).unwrap();
    let images = open(folder.path(), &json!({"val_split": 0.25})).unwrap();
    assert_eq!(sizes(images.as_ref()), [9, 3, 3]);
}

#[test]
fn each_fault_of_a_folder_is_named_with_its_path() {
    check_fault(Path::new("/no/such/folder"), &["/no/such/folder", "no such folder", "dataset.root"]);
    let folder = tempfile::tempdir().unwrap();
    check_fault(folder.path(), &["has no image", "one folder of images"]);
    RgbImage::new(4, 4).save(folder.path().join("loose.png")).unwrap();
    check_fault(folder.path(), &["1 images that are in no such folder"]);
    check_fault(&folder.path().join("loose.png"), &["loose.png", "is a file"]);

    let folder = split_folders();
    write(&folder.path().join("test"), &[("bleu", BLUE)], 1);
    check_fault(folder.path(), &["test/bleu", "did you mean 'blue'", "blue, red"]);

    let folder = split_folders();
    fs::create_dir(folder.path().join("train/empty")).unwrap();
    check_fault(folder.path(), &["train/empty", "has no image"]);
}

#[test]
fn a_damaged_image_is_found_before_training_and_named() {
    let folder = split_folders();
    let path = folder.path().join("train/blue/1.JPG");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 40]).unwrap();
    check_fault(folder.path(), &["train/blue/1.JPG"]);
    fs::write(&path, "text").unwrap();
    check_fault(folder.path(), &["train/blue/1.JPG", "no JPEG or PNG"]);
}

#[test]
fn files_to_predict_are_read_as_the_data_is_in_the_order_of_their_names() {
    let folder = split_folders();
    let images = open(folder.path(), &json!({})).unwrap();
    let (dataset, files) = images.predict_dataset(&folder.path().join("test")).unwrap();
    let names: Vec<_> =
        files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["0.png", "1.JPG", "2.jpeg"]);
    let batch = dataset.batch(&[0, 1, 2], Address::root(0)).unwrap();
    assert_eq!(batch.schema().to_string(), "{image: f32[3, 3, 4, 4]}");
    let one = images.predict_dataset(&folder.path().join("test/blue/0.png")).unwrap();
    assert_eq!(one.1.len(), 1);
    let test = images.dataset(Split::Test).unwrap().batch(&[0], Address::root(0)).unwrap();
    assert!(
        one.0.batch(&[0], Address::root(0)).unwrap().get("image").unwrap().equal(test.get("image").unwrap())
    );
    for (input, expected) in [("no.png", "no such file"), ("train", "")] {
        let result = images.predict_dataset(&folder.path().join(input));
        assert_eq!(result.is_err(), !expected.is_empty(), "{input}");
    }
    fs::write(folder.path().join("notes.txt"), "").unwrap();
    let message = images.predict_dataset(&folder.path().join("notes.txt")).unwrap_err().to_string();
    assert!(message.contains("notes.txt") && message.contains(".png"), "{message}");
}
