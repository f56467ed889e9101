//! A model, a data module and a callback that note every call, and a trainer to drive them.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    dead_code,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "shared by tests"
)]

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fulmen_base::callback::CheckpointRequest;
use fulmen_base::events::{EventSink, StopSignal};
use fulmen_base::loader::DataLoaderConfig;
use fulmen_base::model::trainable;
use fulmen_base::scheduler::Interval;
use fulmen_base::trainer::{GradientClipping, Trainer, TrainerConfig};
use fulmen_base::{
    Batch, Callback, DataModule, DataSpec, Dataset, Error, HookContext, Model, Optimizer, OptimizerKind,
    ParamGroup, Result, Scheduler, Split, StepContext, StepOutput,
};
use fulmen_contracts::event::Values;
use fulmen_contracts::{Stage, schema};
use fulmen_registry::{Component, registry};
use fulmen_strategies::{SingleDevice, Strategy};
use fulmen_torch::tch::{Device, Kind, Reduction, Tensor, nn};
use fulmen_utils::Address;
use serde_json::{Value, json};

/// What was called, in order.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    pub fn note(&self, call: &str) {
        self.0.lock().unwrap().push(call.to_owned());
    }

    pub fn taken(&self) -> Vec<String> {
        mem::take(&mut self.0.lock().unwrap())
    }
}

macro_rules! noted_hooks {
    ($prefix:literal: $($hook:ident)*) => { $(
        fn $hook(&mut self, context: &mut HookContext<'_>) -> Result<()> {
            self.journal.note(concat!($prefix, stringify!($hook)));
            self.saves(stringify!($hook), context);
            Ok(())
        }
    )* };
}

macro_rules! all_hooks {
    ($prefix:literal) => {
        noted_hooks! { $prefix: setup teardown on_fit_start on_fit_end on_sanity_check_start on_sanity_check_end on_train_start
            on_train_end on_train_epoch_start on_train_epoch_end on_train_batch_start on_train_batch_end on_before_zero_grad
            on_before_backward on_after_backward on_before_optimizer_step on_validation_model_zero_grad
            on_validation_model_eval on_validation_model_train on_validation_start on_validation_end
            on_validation_epoch_start on_validation_epoch_end on_validation_batch_start on_validation_batch_end
            on_test_model_eval on_test_model_train on_test_start on_test_end on_test_epoch_start on_test_epoch_end
            on_test_batch_start on_test_batch_end on_predict_model_eval on_predict_model_train on_predict_start
            on_predict_end on_predict_epoch_start on_predict_epoch_end on_predict_batch_start on_predict_batch_end
            on_exception }
    };
}

#[derive(Debug)]
pub struct RecordingCallback {
    journal: Journal,
}

impl RecordingCallback {
    pub fn new(journal: &Journal) -> Self {
        Self { journal: journal.clone() }
    }

    /// A checkpoint at the end of each epoch.
    #[expect(clippy::unused_self, reason = "the form of the macro")]
    fn saves(&self, hook: &str, context: &mut HookContext<'_>) {
        if hook == "on_train_epoch_end" {
            let name = format!("epoch={}", context.state.epoch);
            context.request_checkpoint(CheckpointRequest {
                name,
                aliases: vec!["last"],
                replaces: Vec::new(),
                weights_only: false,
                reason: String::new(),
            });
        }
    }
}

impl Callback for RecordingCallback {
    all_hooks! { "C." }

    fn state_dict(&self) -> Value {
        self.journal.note("C.state_dict");
        json!({"kept": true})
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        assert_eq!(*state, json!({"kept": true}));
        self.journal.note("C.load_state_dict");
        Ok(())
    }
}

/// One linear layer, `x [B, 3] f32` to a loss.
#[derive(Debug)]
pub struct RecordingModel {
    journal: Journal,
    manual: bool,
    pub fails: bool,
    variables: nn::VarStore,
    layer: nn::Linear,
    seen: Seen,
}

/// What a recording model looked at.
#[derive(Debug, Default)]
struct Seen {
    samples: Vec<i64>,
    /// Norm and largest value of the gradients at a step.
    gradients: (f64, f64),
    /// Of the data, and of a product of it.
    kinds: Option<(Kind, Kind)>,
    inference: bool,
}

thread_local! {
    /// Samples a batch of the trainers that this thread makes.
    pub static BATCH_SIZE: std::cell::Cell<u64> = const { std::cell::Cell::new(2) };
}

impl RecordingModel {
    pub fn new(journal: &Journal, manual: bool) -> Self {
        fulmen_torch::tch::manual_seed(7);
        let variables = nn::VarStore::new(Device::Cpu);
        let layer = nn::linear(variables.root() / "layer", 3, 1, nn::LinearConfig::default());
        Self { journal: journal.clone(), manual, fails: false, variables, layer, seen: Seen::default() }
    }

    fn loss(&mut self, batch: &Batch) -> Result<Tensor> {
        let x = batch.get("x")?;
        let prediction = x.apply(&self.layer);
        self.seen.kinds = Some((x.kind(), prediction.kind()));
        let prediction = prediction.to_kind(Kind::Float);
        Ok(prediction.mse_loss(&prediction.ones_like(), Reduction::Mean))
    }

    /// Indices of the training samples, in the order in which they came.
    pub fn samples_seen(&self) -> &[i64] {
        &self.seen.samples
    }

    /// Norm and largest absolute value of the gradients at the last step.
    pub fn largest_gradient(&self) -> (f64, f64) {
        self.seen.gradients
    }

    /// Number formats of the data and of a product of it.
    pub fn kinds(&self) -> (Kind, Kind) {
        self.seen.kinds.unwrap()
    }

    pub fn evaluated_in_inference_mode(&self) -> bool {
        self.seen.inference
    }

    #[expect(clippy::unused_self, reason = "the form of the macro")]
    fn saves(&self, _: &str, _: &mut HookContext<'_>) {}
}

impl Model for RecordingModel {
    all_hooks! { "" }

    fn variables(&self) -> &nn::VarStore {
        &self.variables
    }

    fn automatic_optimization(&self) -> bool {
        !self.manual
    }

    fn configure_model(&mut self) -> Result<()> {
        self.journal.note("configure_model");
        Ok(())
    }

    fn training_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput> {
        let loss = self.loss(batch)?;
        self.seen.samples.extend(Vec::<i64>::try_from(batch.get("index")?).unwrap());
        context.log("own", &loss);
        if self.fails {
            panic!("on purpose");
        }
        if self.manual {
            let optimization = context.manual()?;
            optimization.zero_grad("default")?;
            optimization.manual_backward(&loss)?;
            optimization.optimizer_step("default")?;
        }
        self.journal.note("training_step");
        Ok(StepOutput::loss(loss))
    }

    fn validation_step(&mut self, batch: &Batch, _: &mut StepContext<'_>) -> Result<StepOutput> {
        self.journal.note("validation_step");
        self.seen.inference = batch.get("x")?.ones_like().is_inference();
        Ok(StepOutput::loss(self.loss(batch)?))
    }

    fn test_step(&mut self, batch: &Batch, _: &mut StepContext<'_>) -> Result<StepOutput> {
        self.journal.note("test_step");
        Ok(StepOutput::loss(self.loss(batch)?))
    }

    fn predict_step(&mut self, _: &Batch, _: &mut StepContext<'_>) -> Result<Vec<Value>> {
        self.journal.note("predict_step");
        Ok(Vec::new())
    }

    fn metrics(&self, _: Stage) -> Result<Values> {
        Ok(Values::new())
    }

    fn reset_metrics(&mut self, _: Stage) {}

    fn metric_state(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(Vec::new())
    }

    fn load_metric_state(&mut self, _: &HashMap<String, Tensor>) -> Result<()> {
        Ok(())
    }

    fn optimizer_zero_grad(&mut self, params: &[Tensor]) -> Result<()> {
        self.journal.note("optimizer_zero_grad");
        Ok(fulmen_torch::gradients::clear(params)?)
    }

    fn backward(&mut self, loss: &Tensor, strategy: &mut dyn Strategy) -> Result<()> {
        strategy.backward(loss)?;
        self.journal.note("backward");
        Ok(())
    }

    fn configure_gradient_clipping(&mut self, params: &[Tensor], clipping: GradientClipping) -> Result<()> {
        self.journal.note("configure_gradient_clipping");
        clipping.clip(params)
    }

    fn optimizer_step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.journal.note("optimizer_step");
        let gradients: Vec<Tensor> = optimizer
            .param_groups()
            .iter()
            .flat_map(|group| &group.params)
            .map(|param| param.grad().to_kind(Kind::Double).reshape([-1]))
            .collect();
        let gradients = Tensor::cat(&gradients, 0);
        self.seen.gradients = (gradients.norm().double_value(&[]), gradients.abs().max().double_value(&[]));
        optimizer.step()
    }

    fn lr_scheduler_step(
        &mut self,
        scheduler: &mut dyn Scheduler,
        done: u64,
        groups: &mut [ParamGroup],
    ) -> Result<()> {
        self.journal.note("lr_scheduler_step");
        scheduler.apply(done, groups);
        Ok(())
    }

    fn on_save_checkpoint(&mut self) -> Result<Value> {
        self.journal.note("on_save_checkpoint");
        Ok(json!("kept"))
    }

    fn on_load_checkpoint(&mut self, kept: &Value) -> Result<()> {
        assert_eq!(*kept, json!("kept"));
        self.journal.note("on_load_checkpoint");
        Ok(())
    }
}

/// Leaves the rate as it is.
#[derive(Debug)]
pub struct RecordingScheduler;

impl RecordingScheduler {
    pub fn new(_: &Journal) -> Self {
        Self
    }
}

impl Scheduler for RecordingScheduler {
    fn interval(&self) -> Interval {
        Interval::Step
    }

    fn apply(&mut self, _: u64, _: &mut [ParamGroup]) {}
}

/// Rows of three numbers, different each.
#[derive(Debug)]
pub struct Numbers(pub usize);

impl Dataset for Numbers {
    fn len(&self) -> usize {
        self.0
    }

    fn batch(&self, indices: &[usize], address: Address) -> Result<Batch> {
        let rows: Vec<f32> = indices
            .iter()
            .flat_map(|&index| [index as f32, 1.0, address.at(index as u64).draws().uniform() as f32])
            .collect();
        let indices: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let x = Tensor::from_slice(&rows).view([-1, 3]).to_kind(Kind::Float);
        Ok(Batch::new().with("x", x).with("index", Tensor::from_slice(&indices)))
    }
}

#[derive(Debug)]
pub struct RecordingData {
    journal: Journal,
    samples: usize,
}

impl RecordingData {
    pub fn new(journal: &Journal) -> Self {
        Self { journal: journal.clone(), samples: 8 }
    }

    pub fn of(samples: usize) -> Self {
        Self { journal: Journal::default(), samples }
    }

    pub fn numbers(&self) -> Arc<dyn Dataset> {
        Arc::new(Numbers(self.samples))
    }
}

impl DataModule for RecordingData {
    fn setup(&mut self) -> Result<()> {
        Ok(())
    }

    fn teardown(&mut self) -> Result<()> {
        self.journal.note("teardown_data");
        Ok(())
    }

    fn spec(&self) -> DataSpec {
        DataSpec { schema: schema! { x: f32["B", 3] }, ..DataSpec::default() }
    }

    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>> {
        self.journal.note(match split {
            Split::Train => "train_dataloader",
            Split::Validation => "val_dataloader",
            Split::Test => "test_dataloader",
        });
        Some(self.numbers())
    }

    fn predict_dataset(&self, _: &Path) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)> {
        Ok((self.numbers(), Vec::new()))
    }

    fn on_before_batch_transfer(&mut self, batch: Batch, _: Stage) -> Result<Batch> {
        self.journal.note("on_before_batch_transfer");
        Ok(batch)
    }

    fn transfer_batch_to_device(&mut self, batch: Batch, device: Device, _: Stage) -> Result<Batch> {
        self.journal.note("transfer_batch_to_device");
        Ok(batch.to_device(device))
    }

    fn on_after_batch_transfer(&mut self, batch: Batch, _: Stage) -> Result<Batch> {
        self.journal.note("on_after_batch_transfer");
        Ok(batch)
    }

    fn on_exception(&mut self, _: &Error) {
        self.journal.note("on_exception_data");
    }
}

pub fn sgd(model: &dyn Model) -> Box<dyn Optimizer> {
    let component = Component::<OptimizerKind>::new(json!({"_target_": "sgd", "lr": 0.01}));
    component.build(registry().unwrap(), &trainable(model.variables())).unwrap()
}

/// A trainer on the CPU that tells nobody.
pub fn trainer(config: TrainerConfig, folder: &Path) -> Trainer {
    trainer_telling(config, folder, EventSink::new(|_| {}))
}

pub fn trainer_telling(config: TrainerConfig, folder: &Path, events: EventSink) -> Trainer {
    let loader: DataLoaderConfig = serde_json::from_value(
        json!({"batch_size": BATCH_SIZE.with(std::cell::Cell::get), "num_workers": 0}),
    )
    .unwrap();
    Trainer {
        config,
        loader,
        strategy: Box::new(SingleDevice(Device::Cpu)),
        callbacks: Vec::new(),
        loggers: Vec::new(),
        events,
        stop: StopSignal::default(),
        folder: folder.to_path_buf(),
        checkpoint_keys: None,
        seed: 7,
        run_config: Value::Null,
        environment: BTreeMap::new(),
        profiler: None,
        scaler: None,
        failure: None,
    }
}
