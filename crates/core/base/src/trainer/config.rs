//! The trainer's arguments, under Lightning's names.

use fulmen_contracts::Stage;
use fulmen_strategies::{Accelerator, Precision};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The trainer's arguments, under Lightning's names and with its defaults.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainerConfig {
    /// What to compute on.
    pub accelerator: Accelerator,
    /// Number format.
    pub precision: Precision,
    /// Passes over the training data; -1 sets no limit.
    #[schemars(range(min = -1))]
    pub max_epochs: i64,
    /// Optimizer steps; -1 sets no limit.
    #[schemars(range(min = -1))]
    pub max_steps: i64,
    /// Wall-clock limit, as `DD:HH:MM:SS`.
    pub max_time: Option<String>,
    /// Training batches an epoch: a share (`0.1`) or a number (`50`).
    pub limit_train_batches: Limit,
    /// Validation batches.
    pub limit_val_batches: Limit,
    /// Test batches.
    pub limit_test_batches: Limit,
    /// Batches of prediction.
    pub limit_predict_batches: Limit,
    /// One batch (`true`) or so many of every stage, no checkpoint: to see that everything runs.
    pub fast_dev_run: FastDevRun,
    /// Epochs between two validations.
    #[schemars(range(min = 1))]
    pub check_val_every_n_epoch: u64,
    /// Validation within the epoch: after a share of it (`0.25`) or so many batches (`100`).
    pub val_check_interval: Limit,
    /// Validation batches before training begins; -1 takes all.
    #[schemars(range(min = -1))]
    pub num_sanity_val_steps: i64,
    /// Steps between two records of training metrics.
    #[schemars(range(min = 1))]
    pub log_every_n_steps: u64,
    /// Batches whose gradients make one step.
    #[schemars(range(min = 1))]
    pub accumulate_grad_batches: u64,
    /// Bound of the gradients; left out: none.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub gradient_clip_val: Option<f64>,
    /// What `gradient_clip_val` bounds.
    pub gradient_clip_algorithm: GradientClipAlgorithm,
    /// Kernels that give the same bits each time.
    pub deterministic: bool,
    /// Whether checkpoints are saved.
    pub enable_checkpointing: bool,
    /// Whether a summary of the model is shown.
    pub enable_model_summary: bool,
    /// Whether convolutions run on NHWC memory, which is faster on CPUs and recent GPUs. The arithmetic is the same.
    pub channels_last: bool,
    /// Threads of libtorch; left out: as many as there are cores.
    #[schemars(extend("minimum" = 1))]
    pub num_threads: Option<i32>,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            accelerator: Accelerator::Auto,
            precision: Precision::Full,
            max_epochs: 1000,
            max_steps: -1,
            max_time: None,
            limit_train_batches: Limit::ALL,
            limit_val_batches: Limit::ALL,
            limit_test_batches: Limit::ALL,
            limit_predict_batches: Limit::ALL,
            fast_dev_run: FastDevRun::Switch(false),
            check_val_every_n_epoch: 1,
            val_check_interval: Limit::ALL,
            num_sanity_val_steps: 2,
            log_every_n_steps: 50,
            accumulate_grad_batches: 1,
            gradient_clip_val: None,
            gradient_clip_algorithm: GradientClipAlgorithm::Norm,
            deterministic: false,
            enable_checkpointing: true,
            enable_model_summary: true,
            channels_last: true,
            num_threads: None,
        }
    }
}

impl TrainerConfig {
    /// Batches of a stage of `available`, limits applied.
    pub fn batches(&self, stage: Stage, available: u64) -> u64 {
        if let Some(few) = self.fast_dev_run.batches() {
            return few.min(available);
        }
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

    /// Training batches between two validations in an epoch of `batches`.
    pub fn validation_interval(&self, batches: u64) -> u64 {
        self.val_check_interval.of(batches).max(1)
    }

    /// Epochs of the run; none without a limit.
    pub fn epochs(&self) -> Option<u64> {
        if self.fast_dev_run.batches().is_some() { Some(1) } else { u64::try_from(self.max_epochs).ok() }
    }

    /// Optimizer steps of the run; none without a limit.
    pub fn steps(&self) -> Option<u64> {
        u64::try_from(self.max_steps).ok()
    }
}

/// A share of the batches, or a number of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Limit {
    /// So many batches.
    Batches(u64),
    /// A share of all, `0.0..=1.0`.
    Share(#[schemars(range(min = 0.0, max = 1.0))] f64),
}

impl Limit {
    /// No limit.
    pub const ALL: Self = Self::Share(1.0);

    /// How many of `available`.
    pub fn of(self, available: u64) -> u64 {
        match self {
            Self::Batches(batches) => batches.min(available),
            Self::Share(share) => ((available as f64 * share.clamp(0.0, 1.0)) as u64).min(available),
        }
    }
}

/// Whether, and with how many batches, to see that everything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FastDevRun {
    /// One batch, or an ordinary run.
    Switch(bool),
    /// So many batches.
    Batches(u64),
}

impl FastDevRun {
    /// Batches of every stage; none in an ordinary run.
    pub const fn batches(self) -> Option<u64> {
        match self {
            Self::Switch(false) | Self::Batches(0) => None,
            Self::Switch(true) => Some(1),
            Self::Batches(batches) => Some(batches),
        }
    }
}

/// What `gradient_clip_val` bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GradientClipAlgorithm {
    /// The joint 2-norm of all gradients.
    Norm,
    /// Each value.
    Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_shares_or_numbers() {
        assert_eq!(
            (Limit::Share(0.25).of(10), Limit::Batches(3).of(10), Limit::Batches(30).of(10)),
            (2, 3, 10)
        );
        let limit: Limit = serde_json::from_str("1.0").unwrap();
        assert_eq!(limit, Limit::ALL);
        assert_eq!(serde_json::from_str::<Limit>("1").unwrap(), Limit::Batches(1));
    }

    #[test]
    fn fast_dev_run_takes_one_batch_of_every_stage_and_one_epoch() {
        let config = TrainerConfig { fast_dev_run: FastDevRun::Switch(true), ..Default::default() };
        assert_eq!(
            (config.batches(Stage::Train, 9), config.batches(Stage::Test, 9), config.epochs()),
            (1, 1, Some(1))
        );
    }
}
