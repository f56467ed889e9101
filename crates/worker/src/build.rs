//! From a configuration to the parts of a run.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use fulmen_base::events::{EventSink, StopSignal};
use fulmen_base::model::{named, trainable};
use fulmen_base::tasks::TaskModel;
use fulmen_base::trainer::{Deterministic, Optimizers, Trainer};
use fulmen_base::{
    DataModule, DataSpec, DatasetContext, Error, Model, ModelContext, Progress, Result, SchedulerContext,
    SchedulerKind, TaskContext, config::RunConfig, profilers, weights,
};
use fulmen_contracts::event::Level;
use fulmen_contracts::{Command, RunSpec};
use fulmen_registry::{BuildError, Component, Registry, registry};
use fulmen_strategies::{GradientScaler, SingleDevice, Strategy};
use fulmen_torch::environment as engine;
use fulmen_torch::tch::{self, nn};
use fulmen_utils::atomic::{self, WriteError};
use fulmen_utils::text;

use crate::environment;
use crate::keys::Keys;
use crate::prepared::Prepared;

/// Everything that a run needs, built and held against each other.
pub(crate) struct Run {
    pub(crate) trainer: Trainer,
    pub(crate) model: TaskModel,
    pub(crate) data: Box<dyn DataModule>,
    pub(crate) config: RunConfig,
}

/// Builds the parts. Whatever is wrong with the request is found here, before any training.
pub(crate) fn build(spec: &RunSpec, registry: &Registry, events: EventSink, stop: StopSignal) -> Result<Run> {
    let mut config = RunConfig::read(&spec.config)?;
    config.trainer = config.trainer.settled()?;
    settle(&config)?;
    let keys = Keys::of(spec, &config.encryption)?;
    let device = config
        .trainer
        .accelerator
        .device()
        .map_err(|error| Error::config("trainer.accelerator", error.to_string()))?;
    let index =
        config.trainer.devices.single().map_err(|message| Error::config("trainer.devices", message))?;
    let device = if device.is_cuda() { tch::Device::Cuda(index) } else { device };
    if config.trainer.num_nodes != 1 {
        return Err(Error::config(
            "trainer.num_nodes",
            "several machines need a distributed strategy, which this version does not have yet: set 1",
        ));
    }
    let strategy: Box<dyn Strategy> = Box::new(SingleDevice(device));

    let context = DatasetContext { registry, seed: config.seed };
    let mut data = config.dataset.build(registry, context).map_err(at("dataset"))?;
    data.prepare_data(&Progress::new(&events))?;
    // A trial run is over before anything that was prepared is worth it; predictions need none of it.
    let is_short = config.trainer.fast_dev_run.batches().is_some();
    if !is_short
        && !matches!(spec.command, Command::Predict { .. })
        && let Some(cache) = Prepared::open(&config.cache, keys.cache, events.clone())
    {
        data.use_cache(Arc::new(cache));
    }
    data.setup()?;

    let model = model(&config, registry, &data.spec(), strategy.device())?;
    let callbacks = config
        .callbacks
        .iter()
        .filter_map(|(name, callback)| Some((name, callback.as_ref()?)))
        .map(|(name, callback)| {
            Ok((name.clone(), callback.build(registry, ()).map_err(at(&format!("callbacks.{name}")))?))
        })
        .collect::<Result<_>>()?;
    let trainer_config = &config.trainer;
    let wants_loggers = !trainer_config.barebones && trainer_config.fast_dev_run.batches().is_none();
    let loggers = config.logger.iter().flatten().filter(|_| wants_loggers);
    let loggers = loggers
        .filter_map(|(name, logger)| Some((name, logger.as_ref()?)))
        .map(|(name, logger)| {
            Ok((name.clone(), logger.build(registry, ()).map_err(at(&format!("logger.{name}")))?))
        })
        .collect::<Result<_>>()?;
    let trainer = Trainer {
        config: config.trainer.clone(),
        loader: config.dataloader.clone(),
        scaler: config.trainer.precision.scales_loss().then(|| GradientScaler::new(strategy.device())),
        strategy,
        callbacks,
        loggers,
        events,
        stop,
        folder: spec.folder.clone(),
        checkpoint_keys: keys.checkpoints,
        seed: config.seed,
        run_config: spec.config.clone(),
        environment: environment::of_run(device),
        profiler: config.trainer.profiler.map(|name| profilers::build(name, device.is_cuda())),
        failure: None,
    };
    trainer.prepare(&model)?;
    let mut run = Run { trainer, model, data, config };
    if let Some(path) = run.config.weights.as_deref().filter(|_| spec.checkpoint.is_none()) {
        load_weights(&run, Path::new(path))?;
    }
    if !matches!(spec.command, Command::Predict { .. }) {
        run.trainer.probe(&mut run.model, run.data.as_mut())?;
    }
    if spec.command == Command::Train {
        check_room(&run)?;
    }
    Ok(run)
}

/// Builds the config's optimizers and schedules, for the model's parameters and the length of the run.
pub(crate) fn optimizers(
    config: &RunConfig,
    model: &dyn Model,
    length: SchedulerContext,
) -> Result<Optimizers> {
    let registry = registry().map_err(|error| Error::config("", error.to_string()))?;
    let parameters = trainable(model.variables());
    let scheduler = |key: &str, scheduler: &Option<Component<SchedulerKind>>| {
        scheduler.as_ref().map(|scheduler| scheduler.build(registry, length)).transpose().map_err(at(key))
    };
    if config.optimizers.is_empty() {
        let optimizer = config.optimizer.build(registry, &parameters).map_err(at("optimizer"))?;
        return Ok(Optimizers::one(optimizer, scheduler("scheduler", &config.scheduler)?));
    }
    config.optimizers.iter().try_fold(Optimizers::default(), |optimizers, (name, named)| {
        let own = named.parameters(name, &parameters)?;
        let key = format!("optimizers.{name}");
        let optimizer = named.optimizer.build(registry, &own).map_err(at(&format!("{key}.optimizer")))?;
        Ok(optimizers.with(name, optimizer, scheduler(&format!("{key}.scheduler"), &named.scheduler)?))
    })
}

/// Settings of the process itself.
fn settle(config: &RunConfig) -> Result<()> {
    if let Some(threads) = config.trainer.num_threads {
        tch::set_num_threads(threads);
    }
    match config.trainer.deterministic {
        Deterministic::No => {}
        Deterministic::Yes => engine::deterministic(true, false)?,
        Deterministic::Warn => engine::deterministic(true, true)?,
    }
    // As Lightning: trying kernels out would choose by the clock.
    let benchmark = config.trainer.benchmark.unwrap_or(false);
    tch::Cuda::cudnn_set_benchmark(benchmark && config.trainer.deterministic == Deterministic::No);
    // For the initial weights; each training step draws from an address of its own.
    tch::manual_seed(config.seed as i64);
    Ok(())
}

fn model(config: &RunConfig, registry: &Registry, data: &DataSpec, device: tch::Device) -> Result<TaskModel> {
    let variables = nn::VarStore::new(device);
    let context = ModelContext { path: &variables.root(), data };
    let network = config.model.build(registry, context).map_err(at("model"))?;
    let task = config.task.build(registry, TaskContext { registry, data }).map_err(at("task"))?;
    let model = TaskModel::new(variables, network, task)?;
    model.check(&data.schema)?;
    Ok(model)
}

fn load_weights(run: &Run, path: &Path) -> Result<()> {
    let report = weights::copy_into(path, &weights::load(path)?, &named(run.model.variables()))?;
    let level = if report.is_complete() { Level::Info } else { Level::Warning };
    run.trainer.events.log(level, format!("{}: {}", path.display(), report.describe()));
    Ok(())
}

/// Whether the run's folder can be written to and has room for its checkpoints.
fn check_room(run: &Run) -> Result<()> {
    if !run.trainer.config.enable_checkpointing || run.trainer.config.fast_dev_run.batches().is_some() {
        return Ok(());
    }
    let folder = run.trainer.checkpoint_folder();
    atomic::create_folder(&folder)?;
    let trial = folder.join(".trial");
    atomic::write(&trial, b"room?")?;
    let _ = fs::remove_file(&trial);
    let weights: u64 = named(run.model.variables())
        .iter()
        .map(|(_, tensor)| (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64)
        .sum();
    // Weights and two averages of the optimizer, in a checkpoint that is there and one that is being written.
    let wanted = weights * 3 * 2;
    match atomic::free_bytes(&folder) {
        Some(free) if free < wanted => {
            let (free, wanted) = (text::bytes(free), text::bytes(wanted));
            run.trainer
                .events
                .log(Level::Error, format!("{free} are free, checkpoints of this run need about {wanted}"));
            Err(WriteError::Full { path: folder }.into())
        }
        _ => Ok(()),
    }
}

/// Says where in the config the component stands.
fn at(key: &str) -> impl FnOnce(BuildError) -> Error {
    let key = key.to_owned();
    move |source| Error::Build { key, source: Box::new(source) }
}
