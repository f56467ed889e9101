//! MLflow's limits on keys, values and batches, and the rules for names.

use std::collections::HashMap;

use crate::{DatasetInput, Metric, ModelMetric, Param, RunBatch, RunInputs, Stage, Tag, TrackingError};

/// Longest key of a metric, param or tag, in characters.
pub const MAX_KEY: usize = 250;
/// Longest value of a param, in characters.
pub const MAX_PARAM_VALUE: usize = 6000;
/// Longest value of a run's tag, in characters.
pub const MAX_TAG_VALUE: usize = 8000;
/// Longest name of an experiment, in characters.
pub const MAX_EXPERIMENT_NAME: usize = 500;
/// Longest value of an experiment's tag, in characters.
pub const MAX_EXPERIMENT_TAG_VALUE: usize = 20_000;
/// Longest name of a registered model, in characters.
pub const MAX_MODEL_NAME: usize = 256;
/// Longest alias of a model version, in characters.
pub const MAX_ALIAS: usize = 255;
/// Longest value of a tag in the model registry, in characters.
pub const MAX_REGISTRY_TAG_VALUE: usize = 100_000;
/// Most metric points of one batch.
pub const MAX_BATCH_METRICS: usize = 1000;
/// Most params of one batch.
pub const MAX_BATCH_PARAMS: usize = 100;
/// Most tags of one batch.
pub const MAX_BATCH_TAGS: usize = 100;
/// Longest name of a dataset or of a logged model, in characters.
const MAX_DATASET_NAME: usize = 500;
/// Longest digest of a dataset, in characters.
const MAX_DATASET_DIGEST: usize = 36;
/// Longest id of a run or of a logged model, in characters; MLflow's are shorter.
const MAX_ID: usize = 256;

/// Checks that a transition archives no other versions but those of Staging and Production.
pub(crate) fn check_transition(stage: Stage, archive_existing: bool) -> Result<(), TrackingError> {
    if archive_existing && !matches!(stage, Stage::Staging | Stage::Production) {
        let reason = "only the versions of Staging and Production can be archived by a transition";
        return Err(invalid("stage", stage.as_str(), reason));
    }
    Ok(())
}

/// Checks sizes, keys and values of a batch, and that no param in it has two values.
pub(crate) fn check_batch(batch: &RunBatch) -> Result<(), TrackingError> {
    let counts = [
        ("metrics", batch.metrics.len(), MAX_BATCH_METRICS),
        ("params", batch.params.len(), MAX_BATCH_PARAMS),
        ("tags", batch.tags.len(), MAX_BATCH_TAGS),
        ("metrics of logged models", batch.model_metrics.len(), MAX_BATCH_METRICS),
    ];
    for (what, count, limit) in counts {
        if count > limit {
            return Err(TrackingError::TooMany { what, count, limit });
        }
    }
    check_metrics(&batch.metrics)?;
    for ModelMetric { model_id, metric, dataset } in &batch.model_metrics {
        check_key("metric key", &metric.key)?;
        check_id("logged model id", model_id)?;
        if let Some((name, digest)) = dataset {
            check_length(|| "the name of a metric's dataset".to_owned(), name, MAX_DATASET_NAME)?;
            check_length(|| "the digest of a metric's dataset".to_owned(), digest, MAX_DATASET_DIGEST)?;
        }
    }
    check_params(&batch.params)?;
    check_tags(&batch.tags)
}

pub(crate) fn check_metrics(metrics: &[Metric]) -> Result<(), TrackingError> {
    metrics.iter().try_for_each(|metric| check_key("metric key", &metric.key))
}

pub(crate) fn check_params(params: &[Param]) -> Result<(), TrackingError> {
    let mut seen = HashMap::new();
    for Param { key, value } in params {
        check_key("param key", key)?;
        check_length(|| format!("the value of param {key:?}"), value, MAX_PARAM_VALUE)?;
        if seen.insert(key, value).is_some_and(|earlier| earlier != value) {
            return Err(invalid("param key", key, "the batch gives it two values"));
        }
    }
    Ok(())
}

pub(crate) fn check_tags(tags: &[Tag]) -> Result<(), TrackingError> {
    for Tag { key, value } in tags {
        check_key("tag key", key)?;
        check_length(|| format!("the value of tag {key:?}"), value, MAX_TAG_VALUE)?;
        if key == crate::run_name::TAG && value.trim().is_empty() {
            return Err(invalid("tag mlflow.runName", value, "a run name cannot be empty"));
        }
    }
    Ok(())
}

pub(crate) fn check_experiment_tag(Tag { key, value }: &Tag) -> Result<(), TrackingError> {
    check_key("tag key", key)?;
    check_length(|| format!("the value of tag {key:?}"), value, MAX_EXPERIMENT_TAG_VALUE)
}

pub(crate) fn check_experiment_name(name: &str) -> Result<(), TrackingError> {
    if name.trim().is_empty() {
        return Err(invalid("experiment name", name, "it cannot be empty"));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid("experiment name", name, "it holds a control character"));
    }
    check_length(|| "the experiment name".to_owned(), name, MAX_EXPERIMENT_NAME)
}

/// A location is joined with ids to form paths, so it must not climb, and must not hide a part behind `#`, `?` or `;`.
pub(crate) fn check_artifact_location(location: &str) -> Result<(), TrackingError> {
    let fault = if location.is_empty() {
        "it cannot be empty"
    } else if location.chars().any(char::is_control) {
        "it holds a control character"
    } else if location.contains(['#', '?', ';', '\\', '%']) {
        "it holds one of # ? ; \\ %"
    } else if location.split('/').any(|part| part == "..") {
        "it has a `..` part"
    } else {
        return check_length(|| "the artifact location".to_owned(), location, MAX_EXPERIMENT_NAME);
    };
    Err(invalid("artifact location", location, fault))
}

/// MLflow's rule: letters, digits and `_ - . : / space`, and as a path it stays below its folder.
pub(crate) fn check_key(what: &'static str, key: &str) -> Result<(), TrackingError> {
    check_length(|| format!("the {what} {key:?}"), key, MAX_KEY)?;
    if key.is_empty() {
        return Err(invalid(what, key, "it cannot be empty"));
    }
    let is_allowed = |character: char| character.is_alphanumeric() || "_-.:/ ".contains(character);
    if let Some(character) = key.chars().find(|&character| !is_allowed(character)) {
        let reason = format!("{character:?} is not allowed; letters, digits and `_ - . : / space` are");
        return Err(invalid(what, key, &reason));
    }
    if key.starts_with('/') || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(invalid(
            what,
            key,
            "it is not a plain path: no leading, doubled or trailing `/`, no `.` or `..` part",
        ));
    }
    Ok(())
}

/// The name of a registered model becomes a part of `models:/name/version`.
pub(crate) fn check_model_name(name: &str) -> Result<(), TrackingError> {
    let fault = if name.trim().is_empty() {
        "it cannot be empty"
    } else if name.contains(['/', ':']) {
        "it cannot hold `/` or `:`, which separate the parts of a model's URI"
    } else if name.chars().any(char::is_control) {
        "it holds a control character"
    } else if matches!(name, "." | "..") {
        "it is no plain name"
    } else {
        return check_length(|| "the model name".to_owned(), name, MAX_MODEL_NAME);
    };
    Err(invalid("model name", name, fault))
}

pub(crate) fn check_alias(alias: &str) -> Result<(), TrackingError> {
    let is_allowed = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    if alias.is_empty() {
        return Err(invalid("alias", alias, "it cannot be empty"));
    }
    if !alias.chars().all(is_allowed) {
        return Err(invalid("alias", alias, "letters, digits, `_` and `-` are allowed"));
    }
    check_length(|| "the alias".to_owned(), alias, MAX_ALIAS)
}

/// What an alias that is set must be besides: none of the words that name versions by themselves.
pub(crate) fn check_new_alias(alias: &str) -> Result<(), TrackingError> {
    check_alias(alias)?;
    let number = alias.strip_prefix(['v', 'V']);
    let is_version = number.is_some_and(|number| !number.is_empty() && number.chars().all(char::is_numeric));
    if alias.eq_ignore_ascii_case("latest") || is_version {
        return Err(invalid("alias", alias, "`latest` and `v<number>` are reserved"));
    }
    Ok(())
}

pub(crate) fn check_registry_tags(tags: &[Tag]) -> Result<(), TrackingError> {
    for Tag { key, value } in tags {
        check_key("tag key", key)?;
        check_length(|| format!("the value of tag {key:?}"), value, MAX_REGISTRY_TAG_VALUE)?;
    }
    Ok(())
}

pub(crate) fn check_logged_model_name(name: &str) -> Result<(), TrackingError> {
    if name.is_empty() {
        return Err(invalid("model name", name, "it cannot be empty"));
    }
    if name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(invalid("model name", name, "it cannot hold one of / : . % \" '"));
    }
    check_length(|| "the model name".to_owned(), name, MAX_DATASET_NAME)
}

/// An id that another store may have made.
pub(crate) fn check_id(what: &'static str, id: &str) -> Result<(), TrackingError> {
    check_length(|| format!("the {what}"), id, MAX_ID)
}

/// Checks datasets against the sizes of MLflow's columns.
pub(crate) fn check_inputs(inputs: &RunInputs) -> Result<(), TrackingError> {
    if inputs.datasets.len() > MAX_BATCH_METRICS {
        let count = inputs.datasets.len();
        return Err(TrackingError::TooMany { what: "datasets", count, limit: MAX_BATCH_METRICS });
    }
    inputs.models.iter().try_for_each(|model_id| check_id("logged model id", model_id))?;
    for DatasetInput { tags, dataset } in &inputs.datasets {
        if dataset.name.is_empty() {
            return Err(invalid("dataset name", &dataset.name, "it cannot be empty"));
        }
        let texts = [
            ("name", Some(&dataset.name), MAX_DATASET_NAME),
            ("digest", Some(&dataset.digest), MAX_DATASET_DIGEST),
            ("source", Some(&dataset.source), 65_535),
            ("schema", dataset.schema.as_ref(), 1_048_575),
            ("profile", dataset.profile.as_ref(), 16_777_215),
        ];
        for (what, text, limit) in texts {
            let what = || format!("the {what} of dataset {:?}", dataset.name);
            text.map_or(Ok(()), |text| check_length(what, text, limit))?;
        }
        for Tag { key, value } in tags {
            check_length(|| "the key of a dataset's tag".to_owned(), key, 255)?;
            check_length(|| format!("the value of the dataset's tag {key:?}"), value, 500)?;
        }
    }
    Ok(())
}

fn check_length(what: impl FnOnce() -> String, text: &str, limit: usize) -> Result<(), TrackingError> {
    // Bytes are never fewer than characters, so most texts need no count.
    if text.len() <= limit {
        return Ok(());
    }
    match text.chars().count() {
        length if length > limit => Err(TrackingError::TooLong { what: what(), length, limit }),
        _ => Ok(()),
    }
}

/// Results of a page: as many as asked for within the bounds, or as usual.
pub(crate) fn page_size(asked: Option<usize>, usual: usize, largest: usize) -> Result<usize, TrackingError> {
    match asked {
        None => Ok(usual),
        Some(size) if (1..=largest).contains(&size) => Ok(size),
        Some(size) => {
            Err(invalid("max_results", &size.to_string(), &format!("it has to lie between 1 and {largest}")))
        }
    }
}

pub(crate) fn invalid(what: &'static str, value: &str, reason: &str) -> TrackingError {
    let value = value.chars().take(300).collect();
    TrackingError::Invalid { what, value, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_mlflow_takes_are_taken() {
        for key in
            ["train/loss", "a.b.c", "with space", "dash-under_score", "ключ", "タグ", "a:b", &"k".repeat(250)]
        {
            check_key("metric key", key).unwrap();
        }
    }

    #[test]
    fn keys_that_mlflow_refuses_are_refused() {
        for key in ["", "../x", "a//b", "/abs", "a/../b", "bad\nname", "a/", "a#b", "q?", &"k".repeat(251)] {
            assert!(check_key("metric key", key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        check_params(&[Param::new("p", "ü".repeat(MAX_PARAM_VALUE))]).unwrap();
        let error = check_params(&[Param::new("p", "ü".repeat(MAX_PARAM_VALUE + 1))]).unwrap_err();
        assert!(error.to_string().contains("6001 characters"), "{error}");
    }

    #[test]
    fn one_param_with_two_values_is_refused() {
        check_params(&[Param::new("p", "1"), Param::new("p", "1")]).unwrap();
        assert!(check_params(&[Param::new("p", "1"), Param::new("p", "2")]).is_err());
    }

    #[test]
    fn aliases_that_name_versions_are_reserved() {
        for alias in ["champion", "Champion_2-b", "v", "vx1", "version1", "Größe", "2"] {
            check_new_alias(alias).unwrap();
        }
        for alias in ["", "a b", "a/b", "a.b", "latest", "LATEST", "v1", "V23", &"a".repeat(256)] {
            assert!(check_new_alias(alias).is_err(), "{alias:?}");
        }
        check_alias("latest").unwrap();
    }

    #[test]
    fn model_names_fit_into_uris() {
        for name in ["resnet18", "with space", "naïve.v2", "..a"] {
            check_model_name(name).unwrap();
        }
        for name in ["", "  ", "a/b", "a:b", ".", "..", "a\nb", &"n".repeat(257)] {
            assert!(check_model_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn locations_that_climb_are_refused() {
        for location in ["/data/mlruns", "s3://bucket/a", "mlflow-artifacts:/3", "relative/folder"] {
            check_artifact_location(location).unwrap();
        }
        for location in ["", "http:///#/../..", "s3://b/../..", "a;/../b", "%2e%2e/x", "a\\b", "a?b"] {
            assert!(check_artifact_location(location).is_err(), "{location:?}");
        }
    }
}
