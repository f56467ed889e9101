//! Profilers, loggers and failure reports, over whole runs of the trainer.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::{Journal, RecordingData, RecordingModel, trainer, trainer_telling};
use fulmen_base::checkpoint::Checkpoint;
use fulmen_base::events::EventSink;
use fulmen_base::loggers::{CsvLogger, TensorBoardLogger};
use fulmen_base::optimizer::OptimizerKind;
use fulmen_base::profilers;
use fulmen_base::trainer::{Optimizers, Parts, ProfilerName, Trainer, TrainerConfig};
use fulmen_base::{
    Batch, Callback, DataModule, DataSpec, Dataset, Error, HookContext, Model, Result, SchedulerContext,
    Split, StepContext, StepOutput,
};
use fulmen_contracts::Event;
use fulmen_contracts::event::Profile;
use fulmen_registry::{Component, registry};
use fulmen_torch::tch::{Device, Kind, Tensor, nn};
use fulmen_utils::Address;
use serde_json::{Value, json};

fn config(settings: Value) -> TrainerConfig {
    serde_json::from_value(settings).unwrap()
}

fn fit(
    trainer: &mut Trainer,
    model: &mut dyn Model,
    data: &mut dyn DataModule,
    lr: f64,
    resume: Option<&Checkpoint>,
) -> Result<()> {
    let mut configure = |model: &dyn Model, _: SchedulerContext| {
        let component = Component::<OptimizerKind>::new(json!({"_target_": "sgd", "lr": lr}));
        let parameters = fulmen_base::model::trainable(model.variables());
        Ok(Optimizers::one(component.build(registry().unwrap(), &parameters).unwrap(), None))
    };
    trainer.fit(Parts { model, data, configure_optimizers: &mut configure }, resume).map(drop)
}

/// A recording model and its data, which tell nobody here.
fn recording() -> (RecordingModel, RecordingData) {
    let journal = Journal::default();
    (RecordingModel::new(&journal, false), RecordingData::new(&journal))
}

/// Two layers with a logarithm between them, `x [B, 3] f32` to a loss.
#[derive(Debug)]
struct TwoLayers {
    variables: nn::VarStore,
    first: nn::Linear,
    second: nn::Linear,
}

impl TwoLayers {
    fn new() -> Self {
        let variables = nn::VarStore::new(Device::Cpu);
        let root = variables.root();
        let first = nn::linear(&root / "encoder" / "fc1", 3, 4, nn::LinearConfig::default());
        let second = nn::linear(&root / "head", 4, 1, nn::LinearConfig::default());
        Self { variables, first, second }
    }
}

impl Model for TwoLayers {
    fn variables(&self) -> &nn::VarStore {
        &self.variables
    }

    fn training_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput> {
        let loss = batch.get("x")?.apply(&self.first).relu().apply(&self.second).square().mean(Kind::Float);
        context.log("own", &loss);
        Ok(StepOutput::loss(loss))
    }

    fn validation_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput> {
        self.training_step(batch, context)
    }

    fn test_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput> {
        self.training_step(batch, context)
    }

    fn predict_step(&mut self, _: &Batch, _: &mut StepContext<'_>) -> Result<Vec<Value>> {
        Ok(Vec::new())
    }

    fn metrics(&self, _: fulmen_contracts::Stage) -> Result<fulmen_contracts::event::Values> {
        Ok(Default::default())
    }

    fn reset_metrics(&mut self, _: fulmen_contracts::Stage) {}
}

/// Where events are kept.
fn kept() -> (EventSink, Arc<Mutex<Vec<Event>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let into = events.clone();
    (EventSink::new(move |event| into.lock().unwrap().push(event)), events)
}

fn profiled(folder: &Path, name: ProfilerName) -> Profile {
    let (sink, events) = kept();
    let mut trainer = trainer_telling(config(json!({"max_epochs": 2, "limit_val_batches": 1})), folder, sink);
    trainer.profiler = Some(profilers::build(name, false));
    let (mut model, mut data) = recording();
    fit(&mut trainer, &mut model, &mut data, 0.01, None).unwrap();
    let events = events.lock().unwrap();
    events
        .iter()
        .find_map(|event| match event {
            Event::Profile { profile } => Some(profile.clone()),
            _ => None,
        })
        .unwrap()
}

#[test]
fn phases_of_the_simple_profiler_add_up_to_the_wall_time() {
    let folder = tempfile::tempdir().unwrap();
    let profile = profiled(folder.path(), ProfilerName::Simple);
    let sum: f64 = profile.phases.iter().map(|phase| phase.seconds).sum();
    assert!((sum - profile.wall_seconds).abs() < 1e-9, "{sum} {}", profile.wall_seconds);
    let calls = |name: &str| profile.phases.iter().find(|phase| phase.name == name).unwrap().calls;
    assert_eq!((profile.batches, calls("backward"), calls("optimizer")), (8, 8, 8));
    // The sanity check and two validations.
    assert_eq!(calls("validation"), 3);
    assert!(profile.phases.iter().all(|phase| phase.seconds >= 0.0));
    let table = fs::read_to_string(folder.path().join("profile/simple.txt")).unwrap();
    assert!(table.contains("[Model].step") && table.contains("Percentage %"), "{table}");
}

#[test]
fn the_pytorch_profiler_leaves_a_trace_and_a_table_of_operators() {
    let folder = tempfile::tempdir().unwrap();
    let profile = profiled(folder.path(), ProfilerName::Pytorch);
    let trace: Value =
        serde_json::from_slice(&fs::read(folder.path().join("profile/trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let products: Vec<f64> = events
        .iter()
        .filter(|event| event["name"] == "aten::addmm")
        .map(|event| event["dur"].as_f64().unwrap())
        .collect();
    // Three training batches of one layer; validation may fall among them.
    assert!(products.len() >= 3, "{}", products.len());
    assert!(products.iter().all(|micros| *micros > 0.0 && *micros * 1e-6 < profile.wall_seconds));
    let own: f64 = profile.operators.iter().map(|one| one.self_cpu_seconds).sum();
    assert!(own > 0.0 && own < profile.wall_seconds, "{own} {}", profile.wall_seconds);
    assert!(profile.operators.iter().all(|one| one.self_cpu_seconds > -1e-9));
    assert!(profile.operators.iter().any(|one| one.name == "aten::addmm"));
    assert!(profile.files.contains(&"profile/trace.json".to_owned()));
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_with_the_layer_that_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = trainer(config(json!({"max_epochs": 1, "detect_anomaly": true})), folder.path());
    let mut data = RecordingData::of(8);
    let error = fit(&mut trainer, &mut TwoLayers::new(), &mut data, 1e30, None).unwrap_err();
    let Error::NonFinite { layer, step, .. } = &error else { panic!("{error:?}") };
    // The first step makes weights so large that the second overflows in the first layer that it meets them in.
    assert!(*step >= 1);
    let layer = layer.as_deref().unwrap();
    assert!(["encoder.fc1", "head"].contains(&layer), "{error}");
    assert!(error.to_string().contains(layer), "{error}");
    let note = trainer.failure.unwrap();
    let report: Value =
        serde_json::from_slice(&fs::read(folder.path().join("reports/failure.json")).unwrap()).unwrap();
    assert_eq!((report["kind"].as_str(), report["layer"].as_str()), (Some("not finite"), Some(layer)));
    assert_eq!((report["stage"].as_str(), report["learning_rate"].as_f64()), (Some("train"), Some(1e30)));
    let page = fs::read_to_string(folder.path().join(&note.path)).unwrap();
    assert!(page.contains("lower the learning rate") && page.contains("after the backward pass"), "{page}");
}

#[test]
fn without_detect_anomaly_a_loss_that_is_not_finite_is_told_of_once_and_training_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (sink, events) = kept();
    let settings = json!({"max_epochs": 3, "log_every_n_steps": 1, "limit_val_batches": 0});
    let mut trainer = trainer_telling(config(settings), folder.path(), sink);
    fit(&mut trainer, &mut TwoLayers::new(), &mut RecordingData::of(8), 1e30, None).unwrap();
    let events = events.lock().unwrap();
    let told = |event: &&Event| matches!(event, Event::Log { message, .. } if message.contains("detect_anomaly=true"));
    assert_eq!(events.iter().filter(told).count(), 1);
}

#[derive(Debug)]
struct Panics;

impl Callback for Panics {
    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        assert!(context.state.global_step < 2, "the plot has no axes");
        Ok(())
    }
}

#[test]
fn a_callback_that_panics_is_named_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = trainer(config(json!({"max_epochs": 1})), folder.path());
    trainer.callbacks.push(("plotter".to_owned(), Box::new(Panics)));
    let (mut model, mut data) = recording();
    let error = fit(&mut trainer, &mut model, &mut data, 0.01, None).unwrap_err();
    assert!(error.to_string().contains("callback 'plotter', on_train_batch_end"), "{error}");
    let report: Value =
        serde_json::from_slice(&fs::read(folder.path().join("reports/failure.json")).unwrap()).unwrap();
    assert_eq!(report["hook"], "on_train_batch_end");
    assert_eq!((report["global_step"].as_u64(), report["batch"].as_u64()), (Some(2), Some(1)));
    assert!(report["message"].as_str().unwrap().contains("the plot has no axes"));
    assert!(trainer.failure.unwrap().advice[0].contains("callbacks.plotter=null"));
}

#[test]
fn memory_that_is_not_there_is_told_with_what_to_lower() {
    #[derive(Debug)]
    struct Wants;
    impl Callback for Wants {
        fn on_before_backward(&mut self, _: &mut HookContext<'_>) -> Result<()> {
            let _ = Tensor::f_zeros([1 << 20, 1 << 28], (Kind::Float, Device::Cpu))?;
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = trainer(config(json!({"max_epochs": 1})), folder.path());
    trainer.callbacks.push(("wants".to_owned(), Box::new(Wants)));
    let (mut model, mut data) = recording();
    fit(&mut trainer, &mut model, &mut data, 0.01, None).unwrap_err();
    let page = fs::read_to_string(folder.path().join("reports/failure.md")).unwrap();
    assert!(page.starts_with("# The run failed: out of memory"), "{page}");
    assert!(
        page.contains("dataloader.batch_size=1 (it is 2)") && page.contains("after the forward pass"),
        "{page}"
    );
}

fn with_loggers(trainer: &mut Trainer) {
    let csv = serde_json::from_value(json!({})).unwrap();
    let tensorboard = serde_json::from_value(json!({})).unwrap();
    trainer.loggers.push(("csv".to_owned(), Box::new(CsvLogger::new(&csv))));
    trainer.loggers.push(("tensorboard".to_owned(), Box::new(TensorBoardLogger::new(&tensorboard))));
}

/// Saves at the end of each epoch.
fn saves() -> Box<dyn Callback> {
    Box::new(common::RecordingCallback::new(&Journal::default()))
}

#[test]
fn a_run_that_goes_on_leaves_the_table_of_one_that_never_stopped() {
    fulmen_torch::tch::manual_seed(1);
    let settings = |epochs: i64| config(json!({"max_epochs": epochs, "log_every_n_steps": 1}));
    let table = |folder: &Path| fs::read_to_string(folder.join("csv/version_0/metrics.csv")).unwrap();
    let (whole, parted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let start = TwoLayers::new();
    let model = || {
        let mut model = TwoLayers::new();
        model.variables.copy(&start.variables).unwrap();
        model
    };
    let run = |folder: &Path, epochs, resume: Option<&Checkpoint>| {
        let mut trainer = trainer(settings(epochs), folder);
        with_loggers(&mut trainer);
        trainer.callbacks.push(("saves".to_owned(), saves()));
        fit(&mut trainer, &mut model(), &mut RecordingData::of(8), 0.01, resume).unwrap();
    };
    run(whole.path(), 3, None);
    run(parted.path(), 2, None);
    // From the end of the first epoch: the second is logged again.
    let checkpoint = Checkpoint::open(&parted.path().join("checkpoints/epoch=0"), None).unwrap();
    run(parted.path(), 3, Some(&checkpoint));
    assert_eq!(table(whole.path()), table(parted.path()));
    assert!(table(whole.path()).lines().count() > 12, "{}", table(whole.path()));
}

#[test]
fn a_logger_that_cannot_write_is_left_out_and_training_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("csv"), "a file where the folder is to be").unwrap();
    let (sink, events) = kept();
    let mut trainer = trainer_telling(config(json!({"max_epochs": 1})), folder.path(), sink);
    with_loggers(&mut trainer);
    let (mut model, mut data) = recording();
    fit(&mut trainer, &mut model, &mut data, 0.01, None).unwrap();
    assert_eq!(trainer.loggers.len(), 1);
    let events = events.lock().unwrap();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Log { message, .. } if message.contains("logger 'csv'")))
    );
}

#[test]
fn barebones_counts_and_logs_nothing_in_training() {
    let folder = tempfile::tempdir().unwrap();
    let (sink, events) = kept();
    let settings = json!({"max_epochs": 1, "barebones": true, "limit_val_batches": 0});
    let mut trainer = trainer_telling(config(settings), folder.path(), sink);
    fit(&mut trainer, &mut TwoLayers::new(), &mut RecordingData::of(8), 0.01, None).unwrap();
    let events = events.lock().unwrap();
    assert!(
        events.iter().all(|event| !matches!(event, Event::Metrics { .. } | Event::Progress { .. })),
        "{events:?}"
    );
}

/// Data whose second batch never comes.
#[derive(Debug)]
struct Hangs;

impl Dataset for Hangs {
    fn len(&self) -> usize {
        6
    }

    fn batch(&self, indices: &[usize], _: Address) -> Result<Batch> {
        if indices.contains(&3) {
            std::thread::park();
        }
        Ok(Batch::new().with("x", Tensor::ones([indices.len() as i64, 3], (Kind::Float, Device::Cpu))))
    }
}

impl DataModule for Hangs {
    fn setup(&mut self) -> Result<()> {
        Ok(())
    }

    fn spec(&self) -> DataSpec {
        RecordingData::of(6).spec()
    }

    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>> {
        (split == Split::Train).then(|| Arc::new(Self) as Arc<dyn Dataset>)
    }

    fn predict_dataset(&self, _: &Path) -> Result<(Arc<dyn Dataset>, Vec<std::path::PathBuf>)> {
        Ok((Arc::new(Self), Vec::new()))
    }
}

#[test]
fn a_loader_that_stands_still_is_told_with_its_samples_and_ends_the_run_at_its_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let (sink, events) = kept();
    let mut trainer = trainer_telling(config(json!({"max_epochs": 1})), folder.path(), sink);
    trainer.loader = serde_json::from_value(
        json!({"batch_size": 2, "num_workers": 1, "shuffle": false, "timeout": 1, "stall_warning": 0.1}),
    )
    .unwrap();
    let error = fit(&mut trainer, &mut TwoLayers::new(), &mut Hangs, 0.01, None).unwrap_err();
    assert!(
        matches!(&error, Error::Stalled { batch: 1, samples, .. } if samples.contains("2, 3")),
        "{error}"
    );
    let told = |event: &Event| matches!(event, Event::Log { message, .. } if message.contains("waited for is batch 1 (samples 2, 3)"));
    assert_eq!(events.lock().unwrap().iter().filter(|event| told(event)).count(), 1);
    let page = fs::read_to_string(folder.path().join("reports/failure.md")).unwrap();
    assert!(page.starts_with("# The run failed: the loader stands still"), "{page}");
}
