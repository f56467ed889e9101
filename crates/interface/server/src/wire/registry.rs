//! Registered models and their versions in answers.

use fulmen_tracking::{ModelVersion, RegisteredModel};
use serde::Serialize;

use super::{WireTag, tags};

#[derive(Debug, Serialize)]
pub(crate) struct WireRegisteredModel<'a> {
    name: &'a str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latest_versions: Vec<WireModelVersion<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<WireTag<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<WireAlias<'a>>,
}

#[derive(Debug, Serialize)]
struct WireAlias<'a> {
    alias: &'a str,
    version: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct WireModelVersion<'a> {
    name: &'a str,
    version: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    current_stage: &'static str,
    /// MLflow keeps what a request lacks as an empty text, here and below.
    description: &'a str,
    source: &'a str,
    run_id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<WireTag<'a>>,
    run_link: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    aliases: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<&'a str>,
}

impl<'a> From<&'a RegisteredModel> for WireRegisteredModel<'a> {
    fn from(model: &'a RegisteredModel) -> Self {
        let aliases = model.aliases.iter();
        Self {
            name: &model.name,
            creation_timestamp: model.creation_timestamp,
            last_updated_timestamp: model.last_updated_timestamp,
            description: model.description.as_deref(),
            latest_versions: model.latest_versions.iter().map(Into::into).collect(),
            tags: tags(&model.tags),
            aliases: aliases
                .map(|alias| WireAlias { alias: &alias.alias, version: alias.version.to_string() })
                .collect(),
        }
    }
}

impl<'a> From<&'a ModelVersion> for WireModelVersion<'a> {
    fn from(version: &'a ModelVersion) -> Self {
        Self {
            name: &version.name,
            version: version.version.to_string(),
            creation_timestamp: version.creation_timestamp,
            last_updated_timestamp: version.last_updated_timestamp,
            current_stage: version.current_stage.as_str(),
            description: version.description.as_deref().unwrap_or_default(),
            source: &version.source,
            run_id: version.run_id.as_deref().unwrap_or_default(),
            status: "READY",
            tags: tags(&version.tags),
            run_link: version.run_link.as_deref().unwrap_or_default(),
            aliases: &version.aliases,
            model_id: version.model_id.as_deref(),
        }
    }
}
