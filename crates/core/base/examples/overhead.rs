//! What the trainer costs beside the model: a step of one linear layer by hand over `tch`, and the same under the trainer
//! with progress bar, CSV logger and the events that the tracking store lives on, serialised and written to a pipe.
//!
//! ```sh
//! cargo run --release -p fulmen-base --example overhead -- [rounds] [steps]
//! ```
//!
//! Both take the same batches from the same loader and step the same optimizer. They alternate, so that a busy machine is
//! busy for both; what is printed is the median over the rounds, of wall time and of this thread's CPU time.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::allow_attributes, reason = "a benchmark prints")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use fulmen_base::callbacks::ProgressBar;
use fulmen_base::events::{EventSink, StopSignal};
use fulmen_base::loader::{DataLoader, DataLoaderConfig};
use fulmen_base::loggers::CsvLogger;
use fulmen_base::model::trainable;
use fulmen_base::optimizer::OptimizerKind;
use fulmen_base::profilers;
use fulmen_base::trainer::{Optimizers, Parts, ProfilerName, Trainer, TrainerConfig};
use fulmen_base::{
    Batch, Callback, DataModule, DataSpec, Dataset, HookContext, Model, Optimizer, Result, SchedulerContext,
    Split, StepContext, StepOutput,
};
use fulmen_contracts::event::Values;
use fulmen_contracts::{Stage, schema};
use fulmen_registry::{Component, registry};
use fulmen_strategies::SingleDevice;
use fulmen_torch::tch::{self, Device, Kind, Reduction, Tensor, nn};
use fulmen_utils::Address;
use serde_json::{Value, json};

const BATCH: i64 = 32;
const WIDTH: i64 = 32;
/// Steps before the clock starts.
const WARM_UP: u64 = 100;

/// One linear layer, `x [B, 32] f32` to `y [B, 32] f32`, mean squared error.
#[derive(Debug)]
struct OneLayer {
    variables: nn::VarStore,
    layer: nn::Linear,
}

impl OneLayer {
    fn new() -> Self {
        let variables = nn::VarStore::new(Device::Cpu);
        let layer = nn::linear(variables.root() / "layer", WIDTH, WIDTH, nn::LinearConfig::default());
        Self { variables, layer }
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        Ok(batch.get("x")?.apply(&self.layer).mse_loss(batch.get("y")?, Reduction::Mean))
    }
}

impl Model for OneLayer {
    fn variables(&self) -> &nn::VarStore {
        &self.variables
    }

    fn training_step(&mut self, batch: &Batch, context: &mut StepContext<'_>) -> Result<StepOutput> {
        let loss = self.loss(batch)?;
        context.log("loss", &loss);
        Ok(StepOutput::loss(loss))
    }

    fn validation_step(&mut self, batch: &Batch, _: &mut StepContext<'_>) -> Result<StepOutput> {
        Ok(StepOutput::loss(self.loss(batch)?))
    }

    fn test_step(&mut self, batch: &Batch, _: &mut StepContext<'_>) -> Result<StepOutput> {
        Ok(StepOutput::loss(self.loss(batch)?))
    }

    fn predict_step(&mut self, _: &Batch, _: &mut StepContext<'_>) -> Result<Vec<Value>> {
        Ok(Vec::new())
    }

    fn metrics(&self, _: Stage) -> Result<Values> {
        Ok(Values::new())
    }

    fn reset_metrics(&mut self, _: Stage) {}
}

/// Batches that are in memory already: what they cost is no part of this.
#[derive(Debug)]
struct InMemory {
    x: Tensor,
    y: Tensor,
    batches: usize,
}

// Its tensors are only read.
#[derive(Debug)]
struct Data(Arc<Mutex<InMemory>>);

impl Dataset for Data {
    fn len(&self) -> usize {
        self.0.lock().unwrap().batches * BATCH as usize
    }

    fn batch(&self, _: &[usize], _: Address) -> Result<Batch> {
        let memory = self.0.lock().unwrap();
        Ok(Batch::new().with("x", memory.x.shallow_clone()).with("y", memory.y.shallow_clone()))
    }
}

impl DataModule for Data {
    fn setup(&mut self) -> Result<()> {
        Ok(())
    }

    fn spec(&self) -> DataSpec {
        DataSpec { schema: schema! { x: f32["B", 32], y: f32["B", 32] }, ..DataSpec::default() }
    }

    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>> {
        (split == Split::Train).then(|| Arc::new(Self(self.0.clone())) as Arc<dyn Dataset>)
    }

    fn predict_dataset(&self, _: &Path) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)> {
        Ok((Arc::new(Self(self.0.clone())), Vec::new()))
    }
}

/// Wall and CPU time of this thread, in seconds.
#[derive(Debug, Clone, Copy)]
struct Moment {
    wall: Instant,
    cpu: f64,
}

impl Moment {
    fn now() -> Self {
        // The first number: nanoseconds on a CPU.
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanoseconds: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
        Self { wall: Instant::now(), cpu: nanoseconds * 1e-9 }
    }

    /// Microseconds a step since then: wall, CPU.
    fn since(self, steps: u64) -> [f64; 2] {
        let now = Self::now();
        let each = 1e6 / steps as f64;
        [(now.wall - self.wall).as_secs_f64() * each, (now.cpu - self.cpu) * each]
    }
}

/// Notes when the warm-up ended and when the last step did.
#[derive(Debug)]
struct Clock {
    began: Option<Moment>,
    last: u64,
    took: Arc<Mutex<[f64; 2]>>,
}

impl Callback for Clock {
    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let step = context.state.global_step;
        if step == WARM_UP {
            self.began = Some(Moment::now());
        } else if step == self.last {
            *self.took.lock().unwrap() = self.began.unwrap().since(step - WARM_UP);
        }
        Ok(())
    }
}

fn optimizer(model: &OneLayer) -> Box<dyn Optimizer> {
    let component = Component::<OptimizerKind>::new(json!({"_target_": "sgd", "lr": 0.01}));
    component.build(registry().unwrap(), &trainable(&model.variables)).unwrap()
}

fn loader_config() -> DataLoaderConfig {
    serde_json::from_value(json!({"batch_size": BATCH, "num_workers": 0, "shuffle": false})).unwrap()
}

fn by_hand(memory: &Arc<Mutex<InMemory>>, steps: u64) -> [f64; 2] {
    let model = OneLayer::new();
    let mut optimizer = optimizer(&model);
    let params: Vec<Tensor> = model.variables.trainable_variables();
    let Ok(loader) = DataLoader::train(Arc::new(Data(memory.clone())), &loader_config(), 0) else {
        return [f64::NAN; 2];
    };
    let mut began = Moment::now();
    for (step, batch) in (0..).zip(loader.batches(0, 0, steps)) {
        if step == WARM_UP {
            began = Moment::now();
        }
        let batch = batch.unwrap();
        fulmen_torch::gradients::clear(&params).unwrap();
        let loss = model.loss(&batch).unwrap();
        loss.backward();
        optimizer.step().unwrap();
    }
    began.since(steps - WARM_UP)
}

/// How the trainer is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    /// Progress bar, CSV logger, events.
    Full,
    Barebones,
    /// As `Full`, and a table of where the time goes.
    Profiled,
}

fn trained(memory: &Arc<Mutex<InMemory>>, steps: u64, setup: Setup) -> [f64; 2] {
    let folder = tempfile::tempdir().unwrap();
    let (mut reader, writer) = io::pipe().unwrap();
    let drained = std::thread::spawn(move || {
        let mut bytes = [0; 1 << 14];
        while reader.read(&mut bytes).is_ok_and(|count| count > 0) {}
    });
    let writer = Mutex::new(writer);
    let events = EventSink::new(move |event| {
        let mut line = serde_json::to_vec(&event).unwrap();
        line.push(b'\n');
        writer.lock().unwrap().write_all(&line).unwrap();
    });
    let settings = json!({"max_epochs": 1, "barebones": setup == Setup::Barebones, "num_threads": 1});
    let took = Arc::new(Mutex::new([0.0; 2]));
    let mut trainer = Trainer {
        config: serde_json::from_value::<TrainerConfig>(settings).unwrap(),
        loader: loader_config(),
        strategy: Box::new(SingleDevice(Device::Cpu)),
        callbacks: vec![("progress_bar".to_owned(), Box::new(ProgressBar::default()))],
        loggers: Vec::new(),
        events,
        stop: StopSignal::default(),
        folder: folder.path().to_path_buf(),
        checkpoint_keys: None,
        seed: 0,
        run_config: json!({}),
        environment: BTreeMap::new(),
        profiler: (setup == Setup::Profiled).then(|| profilers::build(ProfilerName::Simple, false)),
        scaler: None,
        failure: None,
    };
    if setup != Setup::Barebones {
        let csv = serde_json::from_value(json!({})).unwrap();
        trainer.loggers.push(("csv".to_owned(), Box::new(CsvLogger::new(&csv))));
    }
    trainer
        .callbacks
        .push(("clock".to_owned(), Box::new(Clock { began: None, last: steps, took: took.clone() })));
    let mut model = OneLayer::new();
    let mut steps_with = Some(optimizer(&model));
    let mut configure =
        |_: &dyn Model, _: SchedulerContext| Ok(Optimizers::one(steps_with.take().unwrap(), None));
    let mut data = Data(memory.clone());
    trainer
        .fit(Parts { model: &mut model, data: &mut data, configure_optimizers: &mut configure }, None)
        .unwrap();
    if setup == Setup::Profiled {
        println!("{}", fs::read_to_string(folder.path().join("profile/simple.txt")).unwrap());
    }
    drop(trainer);
    drained.join().unwrap();
    *took.lock().unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>().unwrap());
    let (rounds, steps) = (arguments.next().unwrap_or(21), arguments.next().unwrap_or(2000));
    tch::set_num_threads(1);
    let tensor = || Tensor::randn([BATCH, WIDTH], (Kind::Float, Device::Cpu));
    let memory = Arc::new(Mutex::new(InMemory { x: tensor(), y: tensor(), batches: steps as usize }));
    let mut rows: [Vec<[f64; 2]>; 3] = Default::default();
    for _ in 0..rounds {
        rows[0].push(by_hand(&memory, steps));
        rows[1].push(trained(&memory, steps, Setup::Full));
        rows[2].push(trained(&memory, steps, Setup::Barebones));
    }
    let column = |rows: &[[f64; 2]], which: usize| median(rows.iter().map(|row| row[which]).collect());
    let over = |rows: &[[f64; 2]], hand: &[[f64; 2]], which: usize| {
        median(rows.iter().zip(hand).map(|(row, hand)| row[which] - hand[which]).collect())
    };
    println!("{rounds} rounds of {steps} steps, µs a step: wall, CPU; over the loop by hand: wall, CPU");
    for (name, which) in [("by hand", 0), ("trainer", 1), ("barebones", 2)] {
        let (own, hand) = (&rows[which], &rows[0]);
        println!(
            "{name:10} {:8.2} {:8.2}   {:8.2} {:8.2}",
            column(own, 0),
            column(own, 1),
            over(own, hand, 0),
            over(own, hand, 1)
        );
    }
    println!();
    let _ = trained(&memory, steps, Setup::Profiled);
}
