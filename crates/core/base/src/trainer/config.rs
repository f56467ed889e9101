//! The trainer's arguments, under Lightning's names.

use fulmen_contracts::Stage;
use fulmen_strategies::{Accelerator, Devices, Precision, StrategyName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clipping::{GradientClipAlgorithm, GradientClipping};
use super::limit::{Deterministic, FastDevRun, Limit, ValCheckInterval};
use super::time_limit::TimeLimit;
use crate::{Error, Result};

/// The trainer's arguments, under Lightning's names and with its defaults.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainerConfig {
    /// What to compute on.
    pub accelerator: Accelerator,
    /// How a step is spread over devices and processes.
    pub strategy: StrategyName,
    /// How many devices: `auto`, a number, or their indices.
    pub devices: Devices,
    /// How many machines.
    #[schemars(range(min = 1))]
    pub num_nodes: u32,
    /// Number format.
    pub precision: Precision,
    /// Passes over the training data; -1 sets no limit. Left null: 1000, or no limit where `max_steps` or `max_time` is set.
    #[schemars(range(min = -1))]
    pub max_epochs: Option<i64>,
    /// Epochs before which nothing but `max_steps` and `max_time` ends training.
    pub min_epochs: Option<u64>,
    /// Optimizer steps; -1 sets no limit.
    #[schemars(range(min = -1))]
    pub max_steps: i64,
    /// Steps before which nothing but `max_epochs` and `max_time` ends training.
    pub min_steps: Option<u64>,
    /// Wall-clock limit, as `DD:HH:MM:SS`; the time before a resume counts.
    pub max_time: Option<TimeLimit>,
    /// Training batches an epoch: a share (`0.1`) or a number (`50`); 0 passes over training.
    pub limit_train_batches: Limit,
    /// Validation batches; 0 passes over validation.
    pub limit_val_batches: Limit,
    /// Test batches.
    pub limit_test_batches: Limit,
    /// Batches of prediction.
    pub limit_predict_batches: Limit,
    /// Trains, without shuffling, on so few batches that they can be learnt by heart: a share or a number; 0 for an ordinary run.
    pub overfit_batches: Limit,
    /// One batch (`true`) or so many of every stage, no checkpoint: to see that everything runs.
    pub fast_dev_run: FastDevRun,
    /// Epochs between two validations. Null: `val_check_interval` counts batches over all epochs.
    #[schemars(range(min = 1))]
    pub check_val_every_n_epoch: Option<u64>,
    /// Validation within the epoch: after a share of it (`0.25`), so many batches (`100`) or so much time (`00:00:15:00`).
    pub val_check_interval: ValCheckInterval,
    /// Validation batches before training begins; -1 takes all.
    #[schemars(range(min = -1))]
    pub num_sanity_val_steps: i64,
    /// Steps between two records of training metrics; 0 records none.
    pub log_every_n_steps: u64,
    /// Batches whose gradients make one step.
    #[schemars(range(min = 1))]
    pub accumulate_grad_batches: u64,
    /// Bound of the gradients; left out: none.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub gradient_clip_val: Option<f64>,
    /// What `gradient_clip_val` bounds.
    pub gradient_clip_algorithm: GradientClipAlgorithm,
    /// Kernels that give the same bits each time: `true`, or `warn` where one has none.
    pub deterministic: Deterministic,
    /// Whether cuDNN tries its kernels out and keeps the fastest; left null: not where `deterministic` is set.
    pub benchmark: Option<bool>,
    /// Whether evaluation runs in torch's inference mode, which is faster than `no_grad`.
    pub inference_mode: bool,
    /// Whether each rank gets a part of the data by itself, where there are several.
    pub use_distributed_sampler: bool,
    /// Whether batch norms count over all ranks, where there are several.
    pub sync_batchnorm: bool,
    /// Epochs after which the training data is asked for anew; 0 never.
    pub reload_dataloaders_every_n_epochs: u64,
    /// Whether a loss that is not finite ends the run, with the first layer that made it.
    pub detect_anomaly: bool,
    /// Turns off all that costs time beside training, to measure what that costs.
    pub barebones: bool,
    /// Where a step's time goes: `simple` measures hooks and phases, `pytorch` operators too.
    pub profiler: Option<ProfilerName>,
    /// Folder for the folders of runs: checkpoints, logs, profiles. Left null: around the artifacts of the experiment, or `mlruns` where those are not on this machine.
    pub default_root_dir: Option<String>,
    /// Whether the configuration is recorded as the run's params.
    pub enable_autolog_hparams: bool,
    /// Whether checkpoints are saved.
    pub enable_checkpointing: bool,
    /// Whether a bar shows how far a stage has come.
    pub enable_progress_bar: bool,
    /// Whether a summary of the model is shown.
    pub enable_model_summary: bool,
    /// Whether convolutions run on NHWC memory, which is faster on CPUs and recent GPUs. The arithmetic is the same.
    pub channels_last: bool,
    /// Threads of libtorch; left out: as many as there are cores.
    #[schemars(extend("minimum" = 1))]
    pub num_threads: Option<i32>,
}

/// A profiler, by Lightning's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProfilerName {
    /// Time by hook and phase.
    Simple,
    /// Operators too, as a table and a trace for Perfetto.
    Pytorch,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            accelerator: Accelerator::Auto,
            strategy: StrategyName::Auto,
            devices: Devices::default(),
            num_nodes: 1,
            precision: Precision::Full,
            max_epochs: None,
            min_epochs: None,
            max_steps: -1,
            min_steps: None,
            max_time: None,
            limit_train_batches: Limit::ALL,
            limit_val_batches: Limit::ALL,
            limit_test_batches: Limit::ALL,
            limit_predict_batches: Limit::ALL,
            overfit_batches: Limit::Share(0.0),
            fast_dev_run: FastDevRun::Switch(false),
            check_val_every_n_epoch: Some(1),
            val_check_interval: ValCheckInterval::Share(1.0),
            num_sanity_val_steps: 2,
            log_every_n_steps: 50,
            accumulate_grad_batches: 1,
            gradient_clip_val: None,
            gradient_clip_algorithm: GradientClipAlgorithm::Norm,
            deterministic: Deterministic::No,
            benchmark: None,
            inference_mode: true,
            use_distributed_sampler: true,
            sync_batchnorm: false,
            reload_dataloaders_every_n_epochs: 0,
            detect_anomaly: false,
            barebones: false,
            profiler: None,
            default_root_dir: None,
            enable_autolog_hparams: true,
            enable_checkpointing: true,
            enable_progress_bar: true,
            enable_model_summary: true,
            channels_last: true,
            num_threads: None,
        }
    }
}

impl TrainerConfig {
    /// The arguments as they take effect: those that others imply are set.
    ///
    /// # Errors
    /// When two of them contradict each other.
    pub fn settled(mut self) -> Result<Self> {
        let both = |key: &str, other: &str| {
            Err(Error::config(
                format!("trainer.{key}"),
                format!("{other} turns this off: set one of the two"),
            ))
        };
        if self.barebones {
            if self.fast_dev_run.batches().is_some() {
                return both("fast_dev_run", "barebones=true");
            }
            if self.detect_anomaly {
                return both("detect_anomaly", "barebones=true");
            }
            if self.profiler.is_some() {
                return both("profiler", "barebones=true");
            }
            (self.enable_checkpointing, self.enable_progress_bar, self.enable_model_summary) =
                (false, false, false);
            (self.log_every_n_steps, self.num_sanity_val_steps) = (0, 0);
        }
        if let Some(batches) = self.fast_dev_run.batches() {
            (self.max_steps, self.max_epochs) = (i64::try_from(batches).unwrap_or(i64::MAX), Some(1));
            (self.num_sanity_val_steps, self.enable_checkpointing) = (0, false);
            let few = Limit::Batches(batches);
            (self.limit_train_batches, self.limit_val_batches) = (few, few);
            (self.limit_test_batches, self.limit_predict_batches) = (few, few);
            (self.val_check_interval, self.check_val_every_n_epoch) = (ValCheckInterval::Share(1.0), Some(1));
            (self.min_epochs, self.min_steps, self.overfit_batches) = (None, None, Limit::Share(0.0));
        }
        if !self.overfit_batches.is_zero() {
            (self.limit_train_batches, self.limit_val_batches) = (self.overfit_batches, self.overfit_batches);
        }
        if self.check_val_every_n_epoch.is_none()
            && matches!(self.val_check_interval, ValCheckInterval::Share(_))
        {
            return Err(Error::config(
                "trainer.val_check_interval",
                "check_val_every_n_epoch=null counts batches over all epochs: set val_check_interval to a number of batches or a time",
            ));
        }
        if self.val_check_interval == ValCheckInterval::Share(0.0)
            || self.val_check_interval == ValCheckInterval::Batches(0)
        {
            return Err(Error::config(
                "trainer.val_check_interval",
                "0 would validate all the time: set limit_val_batches=0 to turn validation off",
            ));
        }
        if let (Some(fewest), Some(most)) = (self.min_epochs, self.epochs())
            && fewest > most
        {
            return Err(Error::config(
                "trainer.min_epochs",
                format!("{fewest} is more than max_epochs={most}"),
            ));
        }
        if let (Some(fewest), Some(most)) = (self.min_steps, self.steps())
            && fewest > most
        {
            return Err(Error::config(
                "trainer.min_steps",
                format!("{fewest} is more than max_steps={most}"),
            ));
        }
        Ok(self)
    }

    /// Batches of a stage of `available`, limits applied.
    pub fn batches(&self, stage: Stage, available: u64) -> u64 {
        let limit = match stage {
            Stage::Train => self.limit_train_batches,
            Stage::Test => self.limit_test_batches,
            Stage::Predict => self.limit_predict_batches,
            Stage::Validate => self.limit_val_batches,
            Stage::SanityCheck => {
                let wanted = u64::try_from(self.num_sanity_val_steps).unwrap_or(u64::MAX);
                return wanted.min(self.limit_val_batches.of(available));
            }
        };
        limit.of(available)
    }

    /// Epochs of the run; none without a limit.
    pub fn epochs(&self) -> Option<u64> {
        match self.max_epochs {
            Some(epochs) => u64::try_from(epochs).ok(),
            None if self.max_steps >= 0 || self.max_time.is_some() => None,
            None => Some(1000),
        }
    }

    /// Optimizer steps of the run; none without a limit.
    pub fn steps(&self) -> Option<u64> {
        u64::try_from(self.max_steps).ok()
    }

    /// How gradients are bounded.
    pub const fn clipping(&self) -> GradientClipping {
        GradientClipping {
            gradient_clip_val: self.gradient_clip_val,
            gradient_clip_algorithm: self.gradient_clip_algorithm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(settings: serde_json::Value) -> Result<TrainerConfig> {
        serde_json::from_value::<TrainerConfig>(settings).unwrap().settled()
    }

    fn refusal(settings: serde_json::Value) -> String {
        let error = settled(settings).unwrap_err();
        format!("{}: {error}", error.key().unwrap())
    }

    #[test]
    fn fast_dev_run_takes_one_batch_of_every_stage_and_one_epoch() {
        let config = settled(serde_json::json!({"fast_dev_run": true})).unwrap();
        assert_eq!((config.batches(Stage::Train, 9), config.batches(Stage::Test, 9)), (1, 1));
        assert_eq!((config.epochs(), config.steps(), config.enable_checkpointing), (Some(1), Some(1), false));
    }

    #[test]
    fn without_a_limit_there_are_a_thousand_epochs_and_with_another_limit_none() {
        assert_eq!(settled(serde_json::json!({})).unwrap().epochs(), Some(1000));
        assert_eq!(settled(serde_json::json!({"max_steps": 5})).unwrap().epochs(), None);
        assert_eq!(settled(serde_json::json!({"max_epochs": -1})).unwrap().epochs(), None);
    }

    #[test]
    fn arguments_that_contradict_each_other_are_refused_by_name() {
        let message =
            refusal(serde_json::json!({"check_val_every_n_epoch": null, "val_check_interval": 0.5}));
        assert!(
            message.starts_with("trainer.val_check_interval:") && message.contains("number of batches"),
            "{message}"
        );
        assert!(
            refusal(serde_json::json!({"barebones": true, "profiler": "simple"}))
                .starts_with("trainer.profiler")
        );
        assert!(
            refusal(serde_json::json!({"min_epochs": 3, "max_epochs": 2})).starts_with("trainer.min_epochs")
        );
        assert!(
            refusal(serde_json::json!({"min_steps": 3, "max_steps": 2})).starts_with("trainer.min_steps")
        );
        assert!(refusal(serde_json::json!({"val_check_interval": 0})).contains("limit_val_batches=0"));
    }

    #[test]
    fn overfit_batches_bound_training_and_validation() {
        let config = settled(serde_json::json!({"overfit_batches": 3})).unwrap();
        assert_eq!((config.batches(Stage::Train, 9), config.batches(Stage::Validate, 9)), (3, 3));
    }
}
