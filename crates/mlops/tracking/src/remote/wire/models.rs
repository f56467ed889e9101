//! MLflow's messages about logged and registered models.

use std::collections::HashMap;

use serde::Deserialize;

use super::{MetricWire, int, some};
use crate::{
    LoggedModel, LoggedModelMetric, LoggedModelStatus, ModelAlias, ModelVersion, Param, RegisteredModel, Tag,
};

#[derive(Debug, Deserialize)]
pub(in crate::remote) struct LoggedModelWire {
    info: LoggedModelInfoWire,
    #[serde(default)]
    data: LoggedModelDataWire,
}

#[derive(Debug, Deserialize)]
struct LoggedModelInfoWire {
    model_id: String,
    #[serde(default)]
    experiment_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    artifact_uri: String,
    #[serde(default, deserialize_with = "int")]
    creation_timestamp_ms: i64,
    #[serde(default, deserialize_with = "int")]
    last_updated_timestamp_ms: i64,
    #[serde(default)]
    status: LoggedModelStatus,
    #[serde(default)]
    model_type: Option<String>,
    #[serde(default)]
    source_run_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
struct LoggedModelDataWire {
    #[serde(default)]
    params: Vec<Param>,
    #[serde(default)]
    metrics: Vec<MetricWire>,
}

impl From<LoggedModelWire> for LoggedModel {
    fn from(wire: LoggedModelWire) -> Self {
        let (mut info, mut params) = (wire.info, wire.data.params);
        info.tags.sort_by(|left, right| left.key.cmp(&right.key));
        params.sort_by(|left, right| left.key.cmp(&right.key));
        let metrics = wire.data.metrics.into_iter().map(|metric| LoggedModelMetric {
            run_id: metric.run_id.clone(),
            dataset: Some((metric.dataset_name.clone(), metric.dataset_digest.clone()))
                .filter(|(name, digest)| !name.is_empty() || !digest.is_empty()),
            metric: metric.into_metric(&HashMap::new()),
        });
        Self {
            model_id: info.model_id,
            experiment_id: info.experiment_id,
            name: info.name,
            artifact_uri: info.artifact_uri,
            creation_timestamp_ms: info.creation_timestamp_ms,
            last_updated_timestamp_ms: info.last_updated_timestamp_ms,
            status: info.status,
            model_type: some(info.model_type),
            source_run_id: some(info.source_run_id),
            tags: info.tags,
            params,
            metrics: metrics.collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::remote) struct RegisteredModelWire {
    name: String,
    #[serde(default, deserialize_with = "int")]
    creation_timestamp: i64,
    #[serde(default, deserialize_with = "int")]
    last_updated_timestamp: i64,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    latest_versions: Vec<ModelVersionWire>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    aliases: Vec<AliasWire>,
}

#[derive(Debug, Deserialize)]
struct AliasWire {
    alias: String,
    #[serde(deserialize_with = "int")]
    version: i64,
}

impl From<RegisteredModelWire> for RegisteredModel {
    fn from(mut wire: RegisteredModelWire) -> Self {
        wire.tags.sort_by(|left, right| left.key.cmp(&right.key));
        wire.aliases.sort_by(|left, right| left.alias.cmp(&right.alias));
        let alias = |wire: AliasWire| ModelAlias { alias: wire.alias, version: wire.version.cast_unsigned() };
        Self {
            name: wire.name,
            creation_timestamp: wire.creation_timestamp,
            last_updated_timestamp: wire.last_updated_timestamp,
            description: some(wire.description),
            latest_versions: wire.latest_versions.into_iter().map(ModelVersion::from).collect(),
            tags: wire.tags,
            aliases: wire.aliases.into_iter().map(alias).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::remote) struct ModelVersionWire {
    name: String,
    #[serde(deserialize_with = "int")]
    version: i64,
    #[serde(default, deserialize_with = "int")]
    creation_timestamp: i64,
    #[serde(default, deserialize_with = "int")]
    last_updated_timestamp: i64,
    #[serde(default)]
    current_stage: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    source: String,
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    run_link: Option<String>,
    #[serde(default)]
    model_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    aliases: Vec<String>,
}

impl From<ModelVersionWire> for ModelVersion {
    fn from(mut wire: ModelVersionWire) -> Self {
        wire.tags.sort_by(|left, right| left.key.cmp(&right.key));
        wire.aliases.sort_unstable();
        Self {
            name: wire.name,
            version: wire.version.cast_unsigned(),
            creation_timestamp: wire.creation_timestamp,
            last_updated_timestamp: wire.last_updated_timestamp,
            current_stage: wire.current_stage.parse().unwrap_or_default(),
            description: some(wire.description),
            source: wire.source,
            storage_location: None,
            run_id: some(wire.run_id),
            run_link: some(wire.run_link),
            model_id: some(wire.model_id),
            tags: wire.tags,
            aliases: wire.aliases,
        }
    }
}
