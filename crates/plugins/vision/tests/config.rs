//! The YAML files that ship for this plugin: each is a component's settings, all of them, with the defaults of the code.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

use std::path::Path;

use fulmen_base::{DataSpec, DatasetContext, DatasetKind, ModelContext, ModelKind};
use fulmen_configuration::{Composer, ConfigSource, SearchPath};
use fulmen_contracts::schema;
use fulmen_registry::registry;
use fulmen_torch::tch::{Device, nn};
use fulmen_vision as _;
use serde_json::{Map, Value};

/// The options of a group whose component is this plugin's, with their settings.
fn options(group: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config").join(group);
    let path = SearchPath::new().with("main", ConfigSource::Folder(folder.clone()));
    let composer = Composer::new(path);
    let mut options = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        let settings = composer.compose(name.as_str(), &[] as &[&str]).unwrap().to_json();
        if settings["_target_"].as_str().unwrap().starts_with("vision.") {
            options.push((name, settings));
        }
    }
    options.sort_by(|a, b| a.0.cmp(&b.0));
    options
}

/// Every field of the settings is in the file, so that it can be overridden, and has the default of the code.
fn check_defaults(kind: &str, name: &str, settings: &Value) {
    let catalog = registry().unwrap().catalog(schemars::schema_for!(()));
    let component = catalog.get(kind, settings["_target_"].as_str().unwrap()).unwrap();
    let properties = component.schema.get("properties").and_then(Value::as_object).unwrap();
    let mut fields: Map<String, Value> = settings.as_object().unwrap().clone();
    fields.remove("_target_");
    for (field, schema) in properties {
        let stated = fields.remove(field).unwrap_or_else(|| panic!("{kind} {name}: {field} is not stated"));
        let Some(default) = schema.get("default") else { continue };
        // 5000 in a file is 5000.0 in the code.
        let equal = match (stated.as_f64(), default.as_f64()) {
            (Some(stated), Some(default)) => stated.to_bits() == default.to_bits(),
            _ => &stated == default,
        };
        assert!(equal, "{kind} {name}: {field} is {stated} in the file, {default} in the code");
    }
    assert!(fields.is_empty(), "{kind} {name}: {fields:?}");
}

#[test]
fn every_model_file_states_all_defaults_and_builds() {
    let data = DataSpec {
        schema: schema! { image: f32["B", 3, 32, 32], label: i64["B"] },
        num_classes: Some(10),
        class_names: None,
    };
    let options = options("model");
    let names: Vec<_> = options.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["convnet", "lenet", "mlp", "resnet101", "resnet152", "resnet18", "resnet34", "resnet50"]
    );
    for (name, settings) in &options {
        check_defaults("model", name, settings);
        let variables = nn::VarStore::new(Device::Cpu);
        let context = ModelContext { path: &variables.root(), data: &data };
        registry().unwrap().build::<ModelKind>(settings, context).unwrap();
    }
}

#[test]
fn every_dataset_file_states_all_defaults_and_builds() {
    let registry = registry().unwrap();
    let options = options("dataset");
    let names: Vec<_> = options.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["cifar10", "digits", "fashion_mnist", "image_folder", "mnist", "random_images"]);
    for (name, settings) in &options {
        check_defaults("dataset", name, settings);
        registry.build::<DatasetKind>(settings, DatasetContext { registry, seed: 0 }).unwrap();
    }
}
