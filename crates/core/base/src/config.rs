//! The whole of a run's configuration, typed.

use std::collections::BTreeMap;

use fulmen_contracts::settings::{CacheConfig, EncryptionConfig};
use fulmen_registry::Component;
use fulmen_torch::tch::Tensor;
use fulmen_utils::nearest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::callback::CallbackKind;
use crate::loader::DataLoaderConfig;
use crate::logger::LoggerKind;
use crate::optimizer::OptimizerKind;
use crate::scheduler::SchedulerKind;
use crate::trainer::TrainerConfig;
use crate::{DatasetKind, Error, ModelKind, Result, TaskKind};

/// The whole of a run's configuration. Keys of the user's own may stand beside these, for interpolation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunConfig {
    /// Everything random is drawn from it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub seed: u64,
    /// The network.
    pub model: Component<ModelKind>,
    /// The data.
    pub dataset: Component<DatasetKind>,
    /// What the network is for: loss, metrics, predictions.
    pub task: Component<TaskKind>,
    /// How parameters move.
    pub optimizer: Component<OptimizerKind>,
    /// How the learning rate changes; null leaves it as it is.
    #[serde(default)]
    pub scheduler: Option<Component<SchedulerKind>>,
    /// Several optimizers by name, for a task that steps them itself; they take the place of `optimizer` and `scheduler`.
    #[serde(default)]
    pub optimizers: BTreeMap<String, NamedOptimizer>,
    /// The trainer's arguments.
    #[serde(default)]
    pub trainer: TrainerConfig,
    /// How batches are made.
    #[serde(default)]
    pub dataloader: DataLoaderConfig,
    /// What is done beside training, by name; null leaves one out.
    #[serde(default)]
    pub callbacks: BTreeMap<String, Option<Component<CallbackKind>>>,
    /// Where values go beside the tracking store, by name; null leaves one out.
    #[serde(default)]
    pub logger: Option<BTreeMap<String, Option<Component<LoggerKind>>>>,
    /// A safetensors file from which the model starts, matched by name.
    #[serde(default)]
    pub weights: Option<String>,
    /// Where runs are recorded.
    #[serde(default)]
    pub mlflow: MlflowConfig,
    /// What is encrypted at rest.
    #[serde(default)]
    pub encryption: EncryptionConfig,
    /// The cache of prepared data.
    #[serde(default)]
    pub cache: CacheConfig,
}

/// One of several optimizers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedOptimizer {
    /// How its parameters move.
    pub optimizer: Component<OptimizerKind>,
    /// How its learning rate changes; null leaves it as it is.
    #[serde(default)]
    pub scheduler: Option<Component<SchedulerKind>>,
    /// Which parameters are its own: the beginnings of their names, as in `[generator.]`.
    pub parameters: Vec<String>,
}

impl NamedOptimizer {
    /// Those of `all` that are its own.
    ///
    /// # Errors
    /// When a beginning fits no name.
    pub fn parameters(&self, name: &str, all: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        for (index, beginning) in self.parameters.iter().enumerate() {
            if !all.iter().any(|(parameter, _)| parameter.starts_with(beginning)) {
                let hint = nearest::hint(beginning, all.iter().map(|(parameter, _)| parameter.as_str()));
                return Err(Error::config(
                    format!("optimizers.{name}.parameters[{index}]"),
                    format!("no trainable parameter begins with '{beginning}'{hint}"),
                ));
            }
        }
        let own = |parameter: &str| self.parameters.iter().any(|beginning| parameter.starts_with(beginning));
        let own = all.iter().filter(|(parameter, _)| own(parameter));
        Ok(own.map(|(parameter, tensor)| (parameter.clone(), tensor.shallow_clone())).collect())
    }
}

/// Where and under which names a run is recorded, as MLflow calls them.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MlflowConfig {
    /// The tracking store: `sqlite:///runs/fulmen.db`.
    pub tracking_uri: Option<String>,
    /// The experiment that the run joins; made where it is not there.
    pub experiment_name: Option<String>,
    /// The run's name; left out: one is made up.
    pub run_name: Option<String>,
    /// Tags of the run.
    pub tags: BTreeMap<String, String>,
    /// Whether CPU, memory, disk, network and GPU are recorded under `system/`; left out: `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING`
    /// says it.
    pub log_system_metrics: Option<bool>,
    /// Seconds between two samples; left out: `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`, else 10.
    #[schemars(range(min = 0.1))]
    pub system_metrics_sampling_interval: Option<f64>,
    /// Samples that make one point; left out: `MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING`, else 1.
    #[schemars(range(min = 1))]
    pub system_metrics_samples_before_logging: Option<u32>,
    /// Names this machine in `system/<node>/…`; left out: `MLFLOW_SYSTEM_METRICS_NODE_ID`, else no name.
    pub system_metrics_node_id: Option<String>,
}

impl RunConfig {
    /// Reads a composed configuration.
    ///
    /// # Errors
    /// The first value that does not fit, with its key.
    pub fn read(config: &serde_json::Value) -> Result<Self> {
        serde_path_to_error::deserialize(config).map_err(|error| {
            let key = error.path().to_string();
            Error::config(key, error.into_inner().to_string())
        })
    }
}
