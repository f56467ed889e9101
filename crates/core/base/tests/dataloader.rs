//! The YAML files of `dataloader` and its samplers: all settings, with the defaults of the code, and the way to choose one.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

use std::path::Path;

use fulmen_base::loader::DataLoaderConfig;
use fulmen_base::{Batch, Dataset, Result, SamplerKind};
use fulmen_configuration::{Composer, ConfigSource, SearchPath};
use fulmen_registry::registry;
use fulmen_utils::Address;
use serde_json::Value;

/// Two samples, of two classes and lengths.
#[derive(Debug)]
struct Two;

impl Dataset for Two {
    fn len(&self) -> usize {
        2
    }

    fn batch(&self, _: &[usize], _: Address) -> Result<Batch> {
        Ok(Batch::new())
    }

    fn label_of(&self, index: usize) -> Option<i64> {
        Some(index as i64)
    }

    fn length_of(&self, index: usize) -> Option<usize> {
        Some(index)
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config")
}

/// `dataloader` of the shipped tree, with `overrides`.
fn composed(overrides: &[&str]) -> Value {
    let path = SearchPath::new().with("main", ConfigSource::Folder(folder()));
    let all = Composer::new(path).compose("config", overrides).unwrap();
    all.to_json()["dataloader"].clone()
}

#[test]
fn the_shipped_file_states_all_settings_with_the_defaults_of_the_code_but_for_threads() {
    let shipped = composed(&[]);
    let mut code = serde_json::to_value(DataLoaderConfig::default()).unwrap();
    code["num_workers"] = 2.into();
    assert_eq!(shipped, code);
}

#[test]
fn each_sampler_is_chosen_by_its_group_and_states_all_settings() {
    let catalog = registry().unwrap().catalog(schemars::schema_for!(()));
    let mut files: Vec<String> = folder()
        .join("dataloader/sampler")
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, registry().unwrap().names(<SamplerKind as fulmen_registry::Kind>::NAME));
    for name in files {
        let config = composed(&[&format!("dataloader/sampler={name}")]);
        let sampler = &config["sampler"];
        let schema = &catalog.get("sampler", &name).unwrap().schema;
        let none = serde_json::Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        for (field, schema) in properties {
            let stated = sampler.get(field).unwrap_or_else(|| panic!("{name}: {field} is not stated"));
            assert_eq!(Some(stated), schema.get("default"), "{name}: {field}");
        }
        assert_eq!(sampler.as_object().unwrap().len(), properties.len() + 1, "{name}: {sampler}");
        let config: DataLoaderConfig = serde_json::from_value(config).unwrap();
        config.sampler.unwrap().build(registry().unwrap(), &Two).unwrap();
    }
}
