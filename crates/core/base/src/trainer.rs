//! The trainer: loops over batches and epochs, with callbacks at their hooks.
//!
//! Reads top to bottom as training happens: [`Trainer::fit`] in `trainer/fit.rs`, validation, test and prediction in
//! `trainer/evaluate.rs`, the arguments in `trainer/config.rs`.

mod anomaly;
mod batch;
mod batch_norm;
mod checkpointing;
mod clipping;
mod config;
mod evaluate;
mod fit;
mod length;
mod limit;
mod logging;
mod optimization;
mod pace;
mod profile;
mod requests;
mod rewind;
mod session;
mod stall;
mod state;
mod summary;
mod time_limit;
mod tuning;

pub(crate) use session::panic_message;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fulmen_contracts::event::{FailureNote, Values};
use fulmen_contracts::{Axis, CHECKPOINTS, Event, Stage};
use fulmen_encryption::ScopedKeyring;
use fulmen_strategies::{GradientScaler, Strategy};
use fulmen_torch::layout;
use fulmen_torch::tch::Kind;
use fulmen_utils::Address;
use serde_json::Value;

pub use clipping::{GradientClipAlgorithm, GradientClipping};
pub use config::{ProfilerName, TrainerConfig};
pub use fit::{ConfigureOptimizers, FitOutcome, Parts};
pub use limit::{Deterministic, FastDevRun, Limit, ValCheckInterval};
pub use optimization::{DEFAULT_OPTIMIZER, ManualOptimization, OptimizerSlot, Optimizers};
pub use profile::{Action, Profiler};
pub use state::{TrainerState, Tuned};
pub use time_limit::TimeLimit;
pub use tuning::{BatchSizeSearch, LearningRateCurve, LearningRateSearch, SizeSearchMode, Spacing, Tuning};

use crate::callback::{Callback, StageProgress};
use crate::checkpoint::Checkpoint;
use crate::events::{EventSink, StopSignal};
use crate::loader::{DataLoader, DataLoaderConfig};
use crate::model::{Model, named};
use crate::step::StepContext;
use crate::weights::{self, LoadReport};
use crate::{Batch, DataModule, Error, Logger, Result, Split};

/// Drives a model over a data module.
#[derive(Debug)]
pub struct Trainer {
    /// Its arguments.
    pub config: TrainerConfig,
    /// How batches are made.
    pub loader: DataLoaderConfig,
    /// Where and how steps are carried out.
    pub strategy: Box<dyn Strategy>,
    /// By their names in the config, in the order in which their hooks are called.
    pub callbacks: Vec<(String, Box<dyn Callback>)>,
    /// By their names in the config: where values go beside the tracking store.
    pub loggers: Vec<(String, Box<dyn Logger>)>,
    /// Where events go.
    pub events: EventSink,
    /// Asks the run to end at the next step.
    pub stop: StopSignal,
    /// The run's own folder.
    pub folder: PathBuf,
    /// What checkpoints are encrypted under; none: they are not.
    pub checkpoint_keys: Option<ScopedKeyring>,
    /// Everything random is drawn from it.
    pub seed: u64,
    /// The composed configuration, kept in each checkpoint.
    pub run_config: Value,
    /// What bit-equality depends on beside the configuration: libtorch's version, threads, the CPU's instructions.
    pub environment: BTreeMap<String, String>,
    /// Told where the time goes; none measures nothing.
    pub profiler: Option<Box<dyn Profiler>>,
    /// Where the precision scales the loss.
    pub scaler: Option<GradientScaler>,
    /// The report of a failure, once there is one.
    pub failure: Option<FailureNote>,
}

impl Trainer {
    /// Brings the model into the run's number format and layout; before the optimizer is built, whose state follows both.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn prepare(&self, model: &dyn Model) -> Result<()> {
        let kind = self.config.precision.kind();
        if kind != Kind::Float {
            for (_, mut tensor) in named(model.variables()) {
                if tensor.kind() == Kind::Float {
                    tensor.set_data(&tensor.f_to_kind(kind)?);
                }
            }
        }
        if self.config.channels_last {
            for (_, tensor) in named(model.variables()) {
                if tensor.dim() == 4 {
                    layout::channels_last(&tensor)?;
                }
            }
        }
        Ok(())
    }

    /// Reads the weights of a checkpoint into the model.
    ///
    /// # Errors
    /// When the checkpoint is of another model.
    pub fn load_weights(&self, model: &dyn Model, checkpoint: &Checkpoint) -> Result<()> {
        let path = checkpoint.model_path();
        let report = weights::copy_into(&path, &checkpoint.model()?, &named(model.variables()))?;
        if report.is_complete() { Ok(()) } else { Err(Error::checkpoint(path, misfit(&report))) }
    }

    /// Runs the model once on two samples, so that a shape that does not fit is found before training.
    ///
    /// # Errors
    /// When the model cannot take this data: the message says what libtorch said.
    pub fn probe(&mut self, model: &mut dyn Model, data: &mut dyn DataModule) -> Result<()> {
        let batch = self.sample_batch(data, 2)?;
        let shapes = batch.schema();
        let tried = self.try_forward(model, &batch);
        tried.map_err(|error| match error {
            Error::Step { message, .. } => {
                Error::config("model", format!("the model cannot take this data, {shapes}: {message}"))
            }
            other => other,
        })
    }

    /// The first few samples of the data, where the model is.
    fn sample_batch(&self, data: &mut dyn DataModule, samples: usize) -> Result<Batch> {
        let Some(dataset) =
            [Split::Train, Split::Validation, Split::Test].into_iter().find_map(|split| data.dataset(split))
        else {
            return Err(Error::config("dataset", "the dataset has no samples in any split"));
        };
        let few: Vec<usize> = (0..dataset.len().min(samples)).collect();
        let batch = dataset.batch(&few, Address::root(self.seed))?;
        let batch = data.on_before_batch_transfer(batch, Stage::SanityCheck)?;
        let batch = data.transfer_batch_to_device(batch, self.strategy.device(), Stage::SanityCheck)?;
        self.in_format(data.on_after_batch_transfer(batch, Stage::SanityCheck)?)
    }

    /// One evaluation step whose result nobody looks at.
    fn try_forward(&self, model: &mut dyn Model, batch: &Batch) -> Result<()> {
        let mut logged = Vec::new();
        let mut context = StepContext::evaluation(Stage::SanityCheck, batch, &mut logged);
        let tried = self.guarded(Stage::SanityCheck, 0, || {
            fulmen_torch::tch::no_grad(|| model.validation_step(batch, &mut context))
        });
        model.reset_metrics(Stage::Validate);
        tried.map(drop)
    }

    fn train_loader(&self, data: &dyn DataModule) -> Result<DataLoader> {
        let dataset = data
            .dataset(Split::Train)
            .filter(|dataset| !dataset.is_empty())
            .ok_or_else(|| Error::config("dataset", "the dataset has no training samples"))?;
        let mut config = self.loader.clone();
        if !self.config.overfit_batches.is_zero() {
            // What is to be learnt by heart comes in one order.
            (config.shuffle, config.sampler) = (false, None);
        }
        Ok(self.for_device(DataLoader::train(dataset, &config, self.seed)?))
    }

    /// Batches come as the device and the layout want them, made so where they are read.
    fn for_device(&self, loader: DataLoader) -> DataLoader {
        loader.for_device(self.strategy.device()).channels_last(self.config.channels_last)
    }

    fn eval_loader(&self, data: &dyn DataModule, split: Split) -> Option<DataLoader> {
        let dataset: Arc<_> = data.dataset(split).filter(|dataset| !dataset.is_empty())?;
        Some(self.for_device(DataLoader::eval(dataset, &self.loader, self.seed)))
    }

    /// A batch in the run's number format and layout.
    fn in_format(&self, batch: Batch) -> Result<Batch> {
        let kind = self.config.precision.kind();
        let batch = if kind == Kind::Float {
            batch
        } else {
            batch.map(|tensor| if tensor.kind() == Kind::Float { tensor.to_kind(kind) } else { tensor })
        };
        if self.config.channels_last {
            for (_, tensor) in batch.iter() {
                if tensor.dim() == 4 && tensor.kind() == kind {
                    layout::channels_last(tensor)?;
                }
            }
        }
        Ok(batch)
    }

    /// Runs a step in the run's precision; a panic in it, such as those of `tch`'s operators, becomes an error.
    fn guarded<T>(&self, stage: Stage, step: u64, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let (precision, device) = (self.config.precision, self.strategy.device());
        session::guarded(|| precision.run(device, run)?).map_err(|error| batch::in_step(stage, step, error))
    }

    fn tell_progress(&mut self, progress: &StageProgress<'_>) {
        for (_, callback) in &mut self.callbacks {
            callback.on_progress(progress, &self.events);
        }
    }

    fn stage_finished(&self, stage: Stage, epoch: u64, batches: u64, seconds: f64, values: &Values) {
        self.events.send(Event::StageFinished { stage, epoch, batches, seconds, values: values.clone() });
    }

    /// Where checkpoints are kept.
    pub fn checkpoint_folder(&self) -> PathBuf {
        checkpoint_folder(&self.folder)
    }
}

/// Where a run keeps its checkpoints.
pub fn checkpoint_folder(run_folder: &Path) -> PathBuf {
    run_folder.join(CHECKPOINTS)
}

/// Values to be recorded, stamped with the time.
fn metrics_event(axis: Axis, at: u64, step: u64, values: Values) -> Event {
    let time_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64);
    Event::Metrics { axis, at, step, time_ms, values }
}

fn misfit(report: &LoadReport) -> String {
    format!("does not fit this model: {}", report.describe())
}
