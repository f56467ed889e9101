//! The fields that a filter or an order may name.

use super::FilterError;
use crate::LoggedModelOrder;

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Runs,
    Experiments,
    RegisteredModels,
    ModelVersions,
    LoggedModels,
}

/// A field of what is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Metric(String),
    Param(String),
    Tag(String),
    Attribute(Attribute),
    /// A field of the datasets that a run was given.
    Dataset(DatasetField),
    /// What was measured of a logged model on one dataset. Only an order may name it.
    MetricOnDataset(MetricOnDataset),
}

/// A metric on the datasets with a name, with a digest, or with both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricOnDataset {
    pub(crate) key: String,
    pub(crate) name: Option<String>,
    pub(crate) digest: Option<String>,
}

/// What a filter may ask of a run's datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatasetField {
    Name,
    Digest,
    /// The tag `mlflow.data.context` of the input.
    Context,
}

/// A field that everything of its kind has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    RunId,
    RunName,
    Status,
    UserId,
    ArtifactUri,
    StartTime,
    EndTime,
    ExperimentId,
    Name,
    CreationTime,
    LastUpdateTime,
    VersionNumber,
    SourcePath,
    ModelId,
    ModelType,
    SourceRunId,
}

const RUN_ATTRIBUTES: [(&str, Attribute); 12] = [
    ("run_id", Attribute::RunId),
    ("run_name", Attribute::RunName),
    ("run name", Attribute::RunName),
    ("Run name", Attribute::RunName),
    ("Run Name", Attribute::RunName),
    ("status", Attribute::Status),
    ("user_id", Attribute::UserId),
    ("artifact_uri", Attribute::ArtifactUri),
    ("start_time", Attribute::StartTime),
    ("created", Attribute::StartTime),
    ("Created", Attribute::StartTime),
    ("end_time", Attribute::EndTime),
];

const EXPERIMENT_ATTRIBUTES: [(&str, Attribute); 4] = [
    ("experiment_id", Attribute::ExperimentId),
    ("name", Attribute::Name),
    ("creation_time", Attribute::CreationTime),
    ("last_update_time", Attribute::LastUpdateTime),
];

const MODEL_ATTRIBUTES: [(&str, Attribute); 4] = [
    ("name", Attribute::Name),
    ("creation_timestamp", Attribute::CreationTime),
    ("last_updated_timestamp", Attribute::LastUpdateTime),
    ("timestamp", Attribute::LastUpdateTime),
];

const VERSION_ATTRIBUTES: [(&str, Attribute); 6] = [
    ("name", Attribute::Name),
    ("version_number", Attribute::VersionNumber),
    ("run_id", Attribute::RunId),
    ("source_path", Attribute::SourcePath),
    ("creation_timestamp", Attribute::CreationTime),
    ("last_updated_timestamp", Attribute::LastUpdateTime),
];

const LOGGED_MODEL_ATTRIBUTES: [(&str, Attribute); 12] = [
    ("name", Attribute::Name),
    ("model_id", Attribute::ModelId),
    ("model_type", Attribute::ModelType),
    ("status", Attribute::Status),
    ("source_run_id", Attribute::SourceRunId),
    ("experiment_id", Attribute::ExperimentId),
    ("creation_timestamp", Attribute::CreationTime),
    ("creation_timestamp_ms", Attribute::CreationTime),
    ("creation_time", Attribute::CreationTime),
    ("last_updated_timestamp", Attribute::LastUpdateTime),
    ("last_updated_timestamp_ms", Attribute::LastUpdateTime),
    ("last_updated_time", Attribute::LastUpdateTime),
];

const DATASET_FIELDS: [(&str, DatasetField); 3] =
    [("name", DatasetField::Name), ("digest", DatasetField::Digest), ("context", DatasetField::Context)];

const PREFIXES: [(&str, Prefix); 13] = [
    ("metrics", Prefix::Metric),
    ("metric", Prefix::Metric),
    ("params", Prefix::Param),
    ("param", Prefix::Param),
    ("parameters", Prefix::Param),
    ("parameter", Prefix::Param),
    ("tags", Prefix::Tag),
    ("tag", Prefix::Tag),
    ("attributes", Prefix::Attribute),
    ("attribute", Prefix::Attribute),
    ("attr", Prefix::Attribute),
    ("datasets", Prefix::Dataset),
    ("dataset", Prefix::Dataset),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Metric,
    Param,
    Tag,
    Attribute,
    Dataset,
}

impl Field {
    /// The field that `prefix` and `key` name; the error says what was expected, with the near name.
    pub(super) fn new(scope: Scope, prefix: Option<&str>, key: &str) -> Result<Self, String> {
        let prefix = match prefix {
            None => Prefix::Attribute,
            // MLflow calls a run's attributes `run.` too.
            Some("run") if scope == Scope::Runs => Prefix::Attribute,
            Some(word) => match PREFIXES.iter().find(|(name, _)| *name == word) {
                Some((_, prefix)) => *prefix,
                None => return Err(unknown("prefix", word, allowed_prefixes(scope).iter().copied())),
            },
        };
        match (prefix, scope) {
            (Prefix::Tag, _) => Ok(Self::Tag(key.to_owned())),
            (Prefix::Attribute, _) => attribute(scope, key).map(Self::Attribute),
            (Prefix::Metric, Scope::Runs | Scope::LoggedModels) => Ok(Self::Metric(key.to_owned())),
            (Prefix::Param, Scope::Runs | Scope::LoggedModels) => Ok(Self::Param(key.to_owned())),
            (Prefix::Dataset, Scope::Runs) => known("field of datasets", key, &DATASET_FIELDS).map(Self::Dataset),
            (Prefix::Metric | Prefix::Param, Scope::Experiments) => {
                Err("an experiment has no metrics and no params; expected name, creation_time, last_update_time or tags.key".to_owned())
            }
            (Prefix::Metric | Prefix::Param | Prefix::Dataset, _) => Err(format!(
                "metrics, params and datasets cannot be searched here; known: {}",
                allowed_prefixes(scope).join(", ")
            )),
        }
    }

    /// The field that a name such as `metrics.loss` stands for, where it is given apart from any filter.
    fn named(scope: Scope, name: &str) -> Result<Self, FilterError> {
        let (prefix, key) = match name.split_once('.') {
            Some((prefix, key)) => (Some(prefix), key),
            None => (None, name),
        };
        let key = key.strip_prefix('`').and_then(|key| key.strip_suffix('`')).unwrap_or(key);
        Self::new(scope, prefix, key).map_err(|problem| FilterError {
            what: "order_by",
            text: name.to_owned(),
            position: 1,
            problem,
        })
    }

    /// The field that a key of an order of logged models stands for.
    pub(crate) fn of_logged_models(key: &LoggedModelOrder) -> Result<Self, FilterError> {
        let (name, digest) = (key.dataset_name.clone(), key.dataset_digest.clone());
        Ok(match Self::named(Scope::LoggedModels, &key.field)? {
            Self::Metric(key) if name.is_some() || digest.is_some() => {
                Self::MetricOnDataset(MetricOnDataset { key, name, digest })
            }
            field => field,
        })
    }

    /// Whether values of this field are numbers.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Self::Metric(_) | Self::MetricOnDataset(_) => true,
            Self::Param(_) | Self::Tag(_) | Self::Dataset(_) => false,
            Self::Attribute(attribute) => matches!(
                attribute,
                Attribute::StartTime
                    | Attribute::EndTime
                    | Attribute::CreationTime
                    | Attribute::LastUpdateTime
                    | Attribute::VersionNumber
            ),
        }
    }

    /// Whether this field may be absent, so that `IS NULL` makes sense.
    pub(super) fn is_optional(&self) -> bool {
        matches!(self, Self::Param(_) | Self::Tag(_))
    }
}

fn attribute(scope: Scope, key: &str) -> Result<Attribute, String> {
    let attributes: &[_] = match scope {
        Scope::Runs => &RUN_ATTRIBUTES,
        Scope::Experiments => &EXPERIMENT_ATTRIBUTES,
        Scope::RegisteredModels => &MODEL_ATTRIBUTES,
        Scope::ModelVersions => &VERSION_ATTRIBUTES,
        Scope::LoggedModels => &LOGGED_MODEL_ATTRIBUTES,
    };
    known("attribute", key, attributes)
}

/// What `word` stands for in a table of words.
fn known<T: Copy>(what: &str, word: &str, table: &[(&str, T)]) -> Result<T, String> {
    let found = table.iter().find(|(name, _)| *name == word).map(|(_, meaning)| *meaning);
    // The other spellings are MLflow's, for its clients.
    let plain = table.iter().map(|(name, _)| *name).filter(|name| !name.contains([' ', 'C']));
    found.ok_or_else(|| unknown(what, word, plain))
}

fn allowed_prefixes(scope: Scope) -> &'static [&'static str] {
    match scope {
        Scope::Runs => &["metrics", "params", "tags", "attributes", "datasets"],
        Scope::LoggedModels => &["metrics", "params", "tags", "attributes"],
        Scope::Experiments | Scope::RegisteredModels | Scope::ModelVersions => &["tags", "attributes"],
    }
}

fn unknown<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = known.clone().find(|name| strsim::damerau_levenshtein(name, word) <= 2);
    let known = known.collect::<Vec<_>>().join(", ");
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("unknown {what} `{word}`; known: {known}{near}")
}
