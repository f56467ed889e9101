//! `fulmen models diff`: in what two versions differ.

use std::collections::BTreeMap;

use fulmen_manager::params_of;
use fulmen_tracking::{Difference, Param, Tag, differences, differences_of_metrics};
use serde_json::{Value, json};

use super::{lineage::Origin, opened};
use crate::arguments::PlaceArguments;
use crate::display::progress::number;
use crate::display::table;
use crate::error::CliError;
use crate::terminal::say_json;

/// Shows in what versions `left` and `right` of a model, and the runs that made them, differ.
pub(super) fn run(name: &str, left: &str, right: &str, place: &PlaceArguments) -> Result<(), CliError> {
    let store = opened(place)?;
    let sides = [Origin::of(store.as_ref(), name, left)?, Origin::of(store.as_ref(), name, right)?];
    let params = differences(&sides.each_ref().map(|side| texts(params(side))));
    let tags = differences(&sides.each_ref().map(|side| texts(tags(side))));
    let version = differences(&sides.each_ref().map(about));
    let metrics = differences_of_metrics(
        &sides.each_ref().map(|side| side.run.as_ref().map_or(&[][..], |run| &run.data.metrics)),
    );
    // Where both configurations are at hand, what they say beyond the params.
    let config = match sides.each_ref().map(|side| side.config.as_ref().map(params_of)) {
        [Some(left), Some(right)] => {
            let pairs =
                |params: &[Param]| texts(params.iter().map(|param| (param.key.clone(), param.value.clone())));
            let mut config = differences(&[pairs(&left), pairs(&right)]);
            config.retain(|one| !params.iter().any(|param| param.key == one.key));
            config
        }
        _ => Vec::new(),
    };
    let names = sides.each_ref().map(|side| format!("version {}", side.version.version));
    if place.store.json {
        say_json(&json!({
            "versions": sides.each_ref().map(|side| side.version.version),
            "runs": sides.each_ref().map(|side| side.version.run_id.clone()),
            "version": object(version),
            "params": object(params),
            "metrics": object(metrics),
            "tags": object(tags),
            "config": object(config),
        }));
        return Ok(());
    }
    let rows = [
        table::differences(version, |value| value),
        table::differences(params, |value| value),
        table::differences(config, |value| value),
        table::differences(metrics, number),
        table::differences(tags, |value| value),
    ];
    table::show_differences("the versions do not differ", &names, rows.concat());
    Ok(())
}

fn texts(pairs: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    pairs.into_iter().collect()
}

fn params(side: &Origin) -> impl Iterator<Item = (String, String)> {
    let params = side.run.as_ref().map_or(&[][..], |run| &run.data.params);
    params.iter().map(|param| (param.key.clone(), param.value.clone()))
}

/// Tags of the run, but for MLflow's own about it, and of the version, whose word counts.
fn tags(side: &Origin) -> impl Iterator<Item = (String, String)> {
    let of_run = side.run.as_ref().map_or(&[][..], |run| &run.data.tags);
    let of_run =
        of_run.iter().filter(|tag| !tag.key.starts_with("mlflow.") && !tag.key.starts_with("fulmen."));
    let pair = |tag: &Tag| (tag.key.clone(), tag.value.clone());
    of_run.map(pair).chain(side.version.tags.iter().map(pair))
}

/// What describes the version itself.
fn about(side: &Origin) -> BTreeMap<String, String> {
    let version = &side.version;
    let fields = [
        ("description", version.description.clone()),
        ("source", Some(version.source.clone())),
        ("stage", Some(version.current_stage.to_string())),
        ("aliases", Some(version.aliases.join(", ")).filter(|aliases| !aliases.is_empty())),
        ("run", version.run_id.clone()),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn object<T: serde::Serialize>(differences: Vec<Difference<T>>) -> Value {
    Value::Object(differences.into_iter().map(|one| (one.key, json!(one.values))).collect())
}
