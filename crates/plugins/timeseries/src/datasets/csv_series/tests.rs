//! Files as users have them, and as they should not be.

use std::fs;

use fulmen_registry::registry;
use fulmen_utils::Address;
use serde_json::{Value, json};

use super::*;

fn open(text: &str, more: &Value) -> (tempfile::TempDir, Result<Box<dyn DataModule>>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("series.csv");
    fs::write(&file, text).unwrap();
    let mut settings = json!({"_target_": "timeseries.csv", "file": file, "input_length": 3});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let registry = registry().unwrap();
    let mut module = registry.build::<DatasetKind>(&settings, DatasetContext { registry, seed: 0 }).unwrap();
    let opened = module.setup().map(|()| module);
    (folder, opened)
}

/// Twenty rows: a date, their number, and ten times their number.
fn rows() -> String {
    let rows: String = (0..20).map(|row| format!("2026-01-{:02},{row},{}\n", row + 1, row * 10)).collect();
    format!("date,a,b\n{rows}")
}

fn read(module: &dyn DataModule, split: Split, name: &str) -> Vec<f32> {
    let dataset = module.dataset(split).unwrap();
    let all: Vec<usize> = (0..dataset.len()).collect();
    Vec::try_from(dataset.batch(&all, Address::root(0)).unwrap().get(name).unwrap().view([-1])).unwrap()
}

#[test]
fn parts_follow_each_other_and_are_standardised_by_the_first() {
    let (_folder, series) = open(&rows(), &json!({"target": ["a"], "horizon": 2}));
    let series = series.unwrap();
    assert_eq!(series.spec().schema.to_string(), "{series: f32[B, 3, 2], target: f32[B, 2]}");
    let sizes =
        [Split::Train, Split::Validation, Split::Test].map(|split| series.dataset(split).unwrap().len());
    // Rows 0..14, 14..16, 16..20.
    assert_eq!(sizes, [10, 1, 3]);
    let (mean, std) = (6.5_f32, (195.0_f32 / 12.0).sqrt());
    let numbers = |name, split| {
        read(series.as_ref(), split, name)
            .into_iter()
            .map(|value| (value * std + mean).round() as i64)
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers("target", Split::Validation), [14, 15]);
    assert_eq!(numbers("series", Split::Validation), [11, 11, 12, 12, 13, 13]);
    assert_eq!(numbers("target", Split::Test), [16, 17, 17, 18, 18, 19]);
    let train = read(series.as_ref(), Split::Train, "series");
    assert!(train.iter().all(|value| value.abs() < 2.0), "{train:?}");
}

#[test]
fn the_last_rows_of_another_file_are_what_is_predicted_from() {
    let (folder, series) = open(&rows(), &json!({}));
    let series = series.unwrap();
    let other = folder.path().join("other.csv");
    fs::write(&other, "b,a\n0,9\n10,1\n20,2\n30,3\n").unwrap();
    let (dataset, names) = series.predict_dataset(&other).unwrap();
    let batch = dataset.batch(&[0], Address::root(0)).unwrap();
    assert_eq!((batch.schema().to_string().as_str(), names.len()), ("{series: f32[1, 3, 2]}", 1));
    let first = batch.get("series").unwrap().double_value(&[0, 0, 0]);
    assert!((first - (1.0 - 6.5) / (195.0_f64 / 12.0).sqrt()).abs() < 1e-5, "{first}");
    fs::write(&other, "a,b\n1,2\n").unwrap();
    assert!(series.predict_dataset(&other).unwrap_err().to_string().contains("has 1 rows"));
}

#[test]
fn each_fault_of_a_file_is_named_with_line_and_column() {
    let check = |text: &str, more: Value, expected: &[&str]| {
        let message = open(text, &more).1.unwrap_err().to_string();
        for part in expected {
            assert!(message.contains(part), "'{part}' is not in: {message}");
        }
    };
    let good = rows();
    check(
        &good.replace("2026-01-05,4,", "2026-01-05,x,"),
        json!({}),
        &["series.csv", "line 6, column 'a'", "found 'x'"],
    );
    check(&good.replace("2026-01-05,4,", "2026-01-05,,"), json!({}), &["line 6", "found ''"]);
    check(&good.replace("2026-01-05,4,", "2026-01-05,nan,"), json!({}), &["line 6", "found 'nan'"]);
    check(&good.replace("2026-01-05,4,", "2026-01-05,"), json!({}), &["series.csv", "line: 6"]);
    check(&good, json!({"target": ["bb"]}), &["no column 'bb'", "did you mean 'b'", "date, a, b"]);
    check(&good, json!({"columns": ["date"]}), &["line 2, column 'date'"]);
    check(&good, json!({"input_length": 40}), &["has 20 rows", "are 41"]);
    check("a,b\n", json!({}), &["no rows"]);
    check("a,b\nx,y\n", json!({}), &["no column of numbers"]);
    let missing = json!({"file": "/no/such.csv"});
    check(&good, missing, &["/no/such.csv"]);
}
