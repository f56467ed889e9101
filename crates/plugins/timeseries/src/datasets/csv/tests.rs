//! Windows, splits, units and messages.

use std::fmt::Write;
use std::fs;

use fulmen_registry::registry;
use serde_json::{Value, json};

use super::*;

/// A file of `rows` rows: the row's number, and a thousand more.
fn file(folder: &Path, rows: usize) -> PathBuf {
    let mut text = "time,a,b\n".to_owned();
    for row in 0..rows {
        writeln!(text, "t{row},{row},{}", row + 1000).unwrap();
    }
    let file = folder.join("series.csv");
    fs::write(&file, text).unwrap();
    file
}

fn build(file: &Path, more: &Value) -> Result<Box<dyn DataModule>, BuildError> {
    let mut settings = json!({"_target_": "timeseries.csv", "file": file, "input_length": 3, "horizon": 2, "standardize": false});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let registry = registry().unwrap();
    registry.build::<DatasetKind>(&settings, DatasetContext { registry, seed: 0 })
}

fn open(file: &Path, more: &Value) -> Result<Box<dyn DataModule>> {
    let mut module = build(file, more).unwrap();
    module.setup()?;
    Ok(module)
}

fn tensor(dataset: &Arc<dyn Dataset>, indices: &[usize], name: &str) -> Vec<f32> {
    let batch = dataset.batch(indices, Address::root(0)).unwrap();
    Vec::try_from(batch.get(name).unwrap().reshape([-1])).unwrap()
}

#[test]
fn a_window_is_followed_by_its_target_and_the_spec_is_met() {
    let folder = tempfile::tempdir().unwrap();
    let series = open(&file(folder.path(), 20), &json!({"target": ["b"]})).unwrap();
    let train = series.dataset(Split::Train).unwrap();
    assert_eq!(tensor(&train, &[1], "series"), [1.0, 1001.0, 2.0, 1002.0, 3.0, 1003.0]);
    assert_eq!(tensor(&train, &[1, 0], "target"), [1004.0, 1005.0, 1003.0, 1004.0]);
    series.spec().schema.unify(&train.batch(&[0, 1], Address::root(0)).unwrap().schema()).unwrap();
    assert_eq!(series.spec().schema.to_string(), "{series: f32[B, 3, 2], target: f32[B, 2]}");
}

#[test]
fn every_row_is_the_target_of_one_part_alone() {
    let folder = tempfile::tempdir().unwrap();
    // 20 rows: 14 to learn from, 2 for validation, 4 for the test.
    let series = open(&file(folder.path(), 20), &json!({"columns": ["a"], "horizon": 1})).unwrap();
    let targets = |split| {
        let dataset = series.dataset(split).unwrap();
        let all: Vec<usize> = (0..dataset.len()).collect();
        tensor(&dataset, &all, "target")
    };
    assert_eq!(targets(Split::Train), (3..14).map(|row| row as f32).collect::<Vec<_>>());
    assert_eq!(targets(Split::Validation), [14.0, 15.0]);
    assert_eq!(targets(Split::Test), [16.0, 17.0, 18.0, 19.0]);
    let none = open(&file(folder.path(), 20), &json!({"test_split": 0.0})).unwrap();
    assert!(none.dataset(Split::Test).is_none());
}

#[test]
fn the_scale_is_learnt_from_training_rows_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), 20);
    let series = open(&path, &json!({"standardize": true, "columns": ["a"], "horizon": 1})).unwrap();
    let train = series.dataset(Split::Train).unwrap();
    // Rows 0 to 13: mean 6.5, variance (14² − 1) / 12.
    let scaled = |row: f32| (row - 6.5) / 16.25_f32.sqrt();
    assert!((tensor(&train, &[0], "series")[0] - scaled(0.0)).abs() < 1e-6);
    let test = series.dataset(Split::Test).unwrap();
    assert!((tensor(&test, &[3], "target")[0] - scaled(19.0)).abs() < 1e-6);
}

#[test]
fn a_forecast_looks_at_the_last_rows_of_a_file_with_the_same_columns() {
    let folder = tempfile::tempdir().unwrap();
    let series = open(&file(folder.path(), 20), &json!({})).unwrap();
    let other = folder.path().join("other.csv");
    fs::write(&other, "b,note,a\n9,x,9\n1,x,10\n2,x,20\n3,x,30\n").unwrap();
    let (dataset, names) = series.predict_dataset(&other).unwrap();
    assert_eq!((dataset.len(), names), (1, vec![other.clone()]));
    assert_eq!(tensor(&dataset, &[0], "series"), [10.0, 1.0, 20.0, 2.0, 30.0, 3.0]);
    fs::write(&other, "b,a\n1,10\n").unwrap();
    let message = series.predict_dataset(&other).unwrap_err().to_string();
    assert!(message.contains("other.csv: has 1 rows, and a forecast looks at 3"), "{message}");
    fs::write(&other, "c,a\n1,10\n").unwrap();
    assert!(series.predict_dataset(&other).unwrap_err().to_string().contains("no column 'b'"));
}

#[test]
fn settings_that_cannot_be_met_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), 6);
    let message = open(&path, &json!({})).unwrap_err().to_string();
    assert!(message.contains("6 rows, of which 4 are to learn from, and one sample takes 5"), "{message}");
    let error = open(&path, &json!({"horizon": 1, "columns": ["a", "b"], "target": ["c"]})).unwrap_err();
    assert_eq!(error.key().as_deref(), Some("dataset.target"));
    for (key, more) in [
        ("val_split", json!({"val_split": 1.0})),
        ("test_split", json!({"val_split": 0.5, "test_split": 0.5})),
        ("columns", json!({"columns": []})),
        ("horizon", json!({"horizon": 0})),
    ] {
        assert_eq!(build(&path, &more).unwrap_err().key_below("dataset"), format!("dataset.{key}"));
    }
}
