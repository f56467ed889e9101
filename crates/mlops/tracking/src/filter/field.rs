//! The fields that a filter or an order may name.

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Runs,
    Experiments,
}

/// A field of a run or an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Metric(String),
    Param(String),
    Tag(String),
    Attribute(Attribute),
}

/// A field that every run, or every experiment, has.
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

const PREFIXES: [(&str, Prefix); 11] = [
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
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Metric,
    Param,
    Tag,
    Attribute,
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
            (Prefix::Metric, Scope::Runs) => Ok(Self::Metric(key.to_owned())),
            (Prefix::Param, Scope::Runs) => Ok(Self::Param(key.to_owned())),
            (Prefix::Tag, _) => Ok(Self::Tag(key.to_owned())),
            (Prefix::Attribute, _) => attribute(scope, key).map(Self::Attribute),
            (Prefix::Metric | Prefix::Param, Scope::Experiments) => {
                Err("an experiment has no metrics and no params; expected name, creation_time, last_update_time or tags.key".to_owned())
            }
        }
    }

    /// Whether values of this field are numbers.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Self::Metric(_) => true,
            Self::Param(_) | Self::Tag(_) => false,
            Self::Attribute(attribute) => matches!(
                attribute,
                Attribute::StartTime
                    | Attribute::EndTime
                    | Attribute::CreationTime
                    | Attribute::LastUpdateTime
            ),
        }
    }

    /// Whether this field may be absent, so that `IS NULL` makes sense.
    pub(super) fn is_optional(&self) -> bool {
        matches!(self, Self::Param(_) | Self::Tag(_))
    }
}

fn attribute(scope: Scope, key: &str) -> Result<Attribute, String> {
    let known: &[_] = match scope {
        Scope::Runs => &RUN_ATTRIBUTES,
        Scope::Experiments => &EXPERIMENT_ATTRIBUTES,
    };
    let found = known.iter().find(|(name, _)| *name == key).map(|(_, attribute)| *attribute);
    let plain = known
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !name.contains(' ') && name.to_lowercase() == *name);
    found.ok_or_else(|| unknown("attribute", key, plain))
}

fn allowed_prefixes(scope: Scope) -> &'static [&'static str] {
    match scope {
        Scope::Runs => &["metrics", "params", "tags", "attributes"],
        Scope::Experiments => &["tags", "attributes"],
    }
}

fn unknown<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = known.clone().find(|name| strsim::damerau_levenshtein(name, word) <= 2);
    let known = known.collect::<Vec<_>>().join(", ");
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("unknown {what} `{word}`; known: {known}{near}")
}
