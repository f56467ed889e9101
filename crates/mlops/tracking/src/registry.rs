//! The model registry: named models, their versions, and what marks them (aliases, tags, stages).
//!
//! Names, rules and defaults are those of MLflow's model registry (<https://mlflow.org/docs/latest/ml/model-registry/>).

use serde::{Deserialize, Serialize};

use crate::{Page, Tag, TrackingError};

/// A store's model registry. All calls block until the store has answered; each writing call is one transaction.
///
/// # Errors
/// Every method fails with a [`TrackingError`]; its [`kind`](TrackingError::kind) tells a wrong request from a store that
/// cannot answer now.
pub trait ModelRegistry: Send + Sync {
    /// Creates a registered model without versions. A taken name is refused.
    fn create_registered_model(&self, new: &NewRegisteredModel) -> Result<RegisteredModel, TrackingError>;
    /// The registered model with this name.
    fn registered_model(&self, name: &str) -> Result<RegisteredModel, TrackingError>;
    /// Gives a model another name; its versions, tags and aliases go with it.
    fn rename_registered_model(&self, name: &str, new_name: &str) -> Result<RegisteredModel, TrackingError>;
    /// Replaces a model's description.
    fn update_registered_model(
        &self,
        name: &str,
        description: &str,
    ) -> Result<RegisteredModel, TrackingError>;
    /// Removes a model with all its versions, artifacts excepted.
    fn delete_registered_model(&self, name: &str) -> Result<(), TrackingError>;
    /// Models that match (`name`, `tags.<key>`), page by page; without an order by name. MLflow's prompts, which are models
    /// with the tag `mlflow.prompt.is_prompt`, are found only by a filter on that tag.
    fn search_registered_models(
        &self,
        search: &SearchRegistry,
    ) -> Result<Page<RegisteredModel>, TrackingError>;
    /// Sets a tag of a model.
    fn set_registered_model_tag(&self, name: &str, tag: &Tag) -> Result<(), TrackingError>;
    /// Removes a tag of a model; an absent one is fine, as in MLflow.
    fn delete_registered_model_tag(&self, name: &str, key: &str) -> Result<(), TrackingError>;
    /// Points `alias` at a version; an alias that pointed elsewhere moves. Letters, digits, `_` and `-`; `latest` and
    /// `v<digits>` are reserved.
    fn set_alias(&self, name: &str, alias: &str, version: u64) -> Result<(), TrackingError>;
    /// Removes an alias; an absent one is fine, as in MLflow.
    fn delete_alias(&self, name: &str, alias: &str) -> Result<(), TrackingError>;
    /// The version that `alias` points at; `latest` is the newest of all. Where none has the alias, the request is wrong
    /// ([`ErrorKind::InvalidParameter`](crate::ErrorKind), as in MLflow).
    fn model_version_by_alias(&self, name: &str, alias: &str) -> Result<ModelVersion, TrackingError>;

    /// Creates the next version of a model: one more than the greatest that there has ever been, removed ones included.
    fn create_model_version(&self, new: &NewModelVersion) -> Result<ModelVersion, TrackingError>;
    /// One version.
    fn model_version(&self, name: &str, version: u64) -> Result<ModelVersion, TrackingError>;
    /// Replaces a version's description.
    fn update_model_version(
        &self,
        name: &str,
        version: u64,
        description: &str,
    ) -> Result<ModelVersion, TrackingError>;
    /// Moves a version to a stage; with `archive_existing` the others of a `Staging` or `Production` stage become `Archived`.
    fn transition_stage(
        &self,
        name: &str,
        version: u64,
        stage: Stage,
        archive_existing: bool,
    ) -> Result<ModelVersion, TrackingError>;
    /// Removes a version and the aliases that point at it, artifacts excepted.
    fn delete_model_version(&self, name: &str, version: u64) -> Result<(), TrackingError>;
    /// Versions that match (`name`, `version_number`, `run_id`, `source_path`, `tags.<key>`), page by page; without an order
    /// by name, then the newest first. Versions of MLflow's prompts are found as their models are.
    fn search_model_versions(&self, search: &SearchRegistry) -> Result<Page<ModelVersion>, TrackingError>;
    /// The newest version of each of these stages; of all stages where none is named.
    fn latest_versions(&self, name: &str, stages: &[Stage]) -> Result<Vec<ModelVersion>, TrackingError>;
    /// Sets a tag of a version.
    fn set_model_version_tag(&self, name: &str, version: u64, tag: &Tag) -> Result<(), TrackingError>;
    /// Removes a tag of a version; an absent one is fine, as in MLflow.
    fn delete_model_version_tag(&self, name: &str, version: u64, key: &str) -> Result<(), TrackingError>;
}

/// A model of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredModel {
    /// Unique; without `/` and `:`, which model URIs use.
    pub name: String,
    /// Milliseconds since 1970.
    pub creation_timestamp: i64,
    /// Milliseconds since 1970.
    pub last_updated_timestamp: i64,
    /// What it is for.
    pub description: Option<String>,
    /// The newest version of each stage.
    pub latest_versions: Vec<ModelVersion>,
    /// Sorted by key.
    pub tags: Vec<Tag>,
    /// Sorted by alias.
    pub aliases: Vec<ModelAlias>,
}

/// A name for one version of a model, such as `champion`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelAlias {
    /// The name; unique within the model.
    pub alias: String,
    /// The version that it points at.
    pub version: u64,
}

/// One version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// The model's name.
    pub name: String,
    /// From 1.
    pub version: u64,
    /// Milliseconds since 1970.
    pub creation_timestamp: i64,
    /// Milliseconds since 1970.
    pub last_updated_timestamp: i64,
    /// Where it stands; MLflow's older way beside aliases.
    pub current_stage: Stage,
    /// What it is.
    pub description: Option<String>,
    /// URI of the model's files, as it was given.
    pub source: String,
    /// URI that the files can be read from, where that differs from `source` (`models:/m-…`).
    pub storage_location: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// A page about that run.
    pub run_link: Option<String>,
    /// The logged model that it was made from.
    pub model_id: Option<String>,
    /// Sorted by key.
    pub tags: Vec<Tag>,
    /// Aliases that point here, sorted.
    pub aliases: Vec<String>,
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Not in use.
    #[default]
    None,
    /// Tried out.
    Staging,
    /// In use.
    Production,
    /// No longer in use.
    Archived,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// MLflow's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for Stage {
    type Err = TrackingError;

    /// Case does not matter, as in MLflow.
    fn from_str(text: &str) -> Result<Self, TrackingError> {
        Self::ALL.into_iter().find(|stage| stage.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
            TrackingError::Invalid {
                what: "stage",
                value: text.to_owned(),
                reason: "it is not one of None, Staging, Production, Archived".to_owned(),
            }
        })
    }
}

/// What a new registered model is given.
#[derive(Debug, Clone, Default)]
pub struct NewRegisteredModel {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// What a new version is given.
#[derive(Debug, Clone, Default)]
pub struct NewModelVersion {
    /// The registered model; it exists.
    pub name: String,
    /// URI of the model's files.
    pub source: String,
    /// See [`ModelVersion::storage_location`].
    pub storage_location: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// A page about that run.
    pub run_link: Option<String>,
    /// The logged model that it is made from.
    pub model_id: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Which models, or versions, to find.
#[derive(Debug, Clone, Default)]
pub struct SearchRegistry {
    /// MLflow's filter language; empty for all.
    pub filter: String,
    /// `key [ASC|DESC]` each.
    pub order_by: Vec<String>,
    /// Most results of one page; `None` for MLflow's default (100 models, 10,000 versions).
    pub max_results: Option<usize>,
    /// `next_page_token` of the page before, with the same filter and order.
    pub page_token: Option<String>,
}
