//! How long a save keeps training waiting: ResNet-18 (11.2 M parameters for 32×32 images), AdamW, batches of 32.
//!
//! ```text
//! cargo run --release -p fulmen-worker --example checkpoint_stall [steps]
//! ```
//!
//! Prints the time from the start of one step to the start of the next, with and without a save between them, their ratio, and
//! the pause between a step's end and the next one's start in both cases.

#![allow(clippy::print_stdout, clippy::allow_attributes, reason = "it prints what it measured")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use fulmen_base::callback::CheckpointRequest;
use fulmen_base::events::{EventSink, StopSignal};
use fulmen_base::model::trainable;
use fulmen_base::tasks::TaskModel;
use fulmen_base::trainer::{Optimizers, Parts, Trainer, TrainerConfig};
use fulmen_base::{
    Callback, DatasetContext, DatasetKind, HookContext, Model, ModelContext, ModelKind, OptimizerKind,
    Result, SchedulerContext, TaskContext, TaskKind,
};
use fulmen_registry::{Component, registry};
use fulmen_strategies::SingleDevice;
use fulmen_torch::tch::{self, nn};
use fulmen_vision as _;
use serde_json::{Value, json};

/// Steps between two saves: the one before is on the disk by then.
const EVERY: u64 = 8;

/// Starts and ends of steps, and saves between them.
#[derive(Debug, Clone, Default)]
struct Clock(Arc<Mutex<Vec<(Instant, Instant, bool)>>>, Option<Instant>);

impl Callback for Clock {
    fn on_train_batch_start(&mut self, _: &mut HookContext<'_>) -> Result<()> {
        self.1 = Some(Instant::now());
        Ok(())
    }

    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let step = context.state.global_step;
        let saves = step.is_multiple_of(EVERY);
        if saves {
            let (name, aliases) = (format!("step={step}"), vec!["last"]);
            let replaces = vec![format!("step={}", step - EVERY)];
            context.request_checkpoint(CheckpointRequest {
                name,
                aliases,
                replaces,
                weights_only: false,
                reason: String::new(),
            });
        }
        if let (Some(began), Ok(mut steps)) = (self.1, self.0.lock()) {
            steps.push((began, Instant::now(), saves));
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let steps: u64 = std::env::args().nth(1).map_or(Ok(48), |text| text.parse())?;
    let registry = registry()?;
    let folder = std::env::temp_dir().join(format!("fulmen-stall-{}", std::process::id()));
    let data = json!({"_target_": "vision.random", "samples": 32 * steps});
    let mut data = registry.build::<DatasetKind>(&data, DatasetContext { registry, seed: 1 })?;
    data.setup()?;
    let variables = nn::VarStore::new(tch::Device::Cpu);
    let spec = data.spec();
    let network = json!({"_target_": "vision.resnet", "depth": 18, "stem": "small"});
    let network =
        registry.build::<ModelKind>(&network, ModelContext { path: &variables.root(), data: &spec })?;
    let task = json!({"_target_": "classification"});
    let task = registry.build::<TaskKind>(&task, TaskContext { registry, data: &spec })?;
    let mut model = TaskModel::new(variables, network, task)?;
    let clock = Clock::default();
    let config = json!({
        "max_steps": steps, "num_sanity_val_steps": 0, "limit_val_batches": 0, "enable_progress_bar": false,
    });
    let mut trainer = Trainer {
        config: serde_json::from_value::<TrainerConfig>(config)?,
        loader: serde_json::from_value(json!({"batch_size": 32, "num_workers": 1}))?,
        strategy: Box::new(SingleDevice(tch::Device::Cpu)),
        callbacks: vec![("clock".to_owned(), Box::new(clock.clone()))],
        events: EventSink::new(|_| {}),
        stop: StopSignal::default(),
        folder: folder.clone(),
        checkpoint_keys: None,
        seed: 1,
        run_config: Value::Null,
        environment: BTreeMap::new(),
        profiler: None,
        scaler: None,
        loggers: Vec::new(),
        failure: None,
    };
    trainer.prepare(&model)?;
    let mut configure = |model: &dyn Model, _: SchedulerContext| {
        let adamw = Component::<OptimizerKind>::new(json!({"_target_": "adamw", "lr": 1e-3}));
        let optimizer = adamw.build(registry, &trainable(model.variables()));
        Ok(Optimizers::one(
            optimizer.map_err(|error| fulmen_base::Error::config("optimizer", error.to_string()))?,
            None,
        ))
    };
    let parts = Parts { model: &mut model, data: data.as_mut(), configure_optimizers: &mut configure };
    trainer.fit(parts, None)?;
    std::fs::remove_dir_all(folder)?;
    report(&clock.0.lock().map_err(|_| "a hook panicked")?);
    Ok(())
}

fn report(steps: &[(Instant, Instant, bool)]) {
    // From the second on: the first warms up.
    let pairs: Vec<_> = steps.windows(2).skip(1).collect();
    let of = |saves: bool| {
        let pairs = pairs.iter().filter(move |pair| pair[0].2 == saves);
        let milliseconds = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
        let (step, pause): (Vec<_>, Vec<_>) = pairs
            .map(|pair| (milliseconds(pair[0].0, pair[1].0), milliseconds(pair[0].1, pair[1].0)))
            .unzip();
        (median(step), median(pause))
    };
    let ((usual, pause), (saving, saving_pause)) = (of(false), of(true));
    println!("step to step without a save  {usual:8.2} ms   pause between two steps {pause:6.2} ms");
    println!("step to step with a save     {saving:8.2} ms   pause between two steps {saving_pause:6.2} ms");
    println!(
        "ratio {:.4}; the save itself takes {:.2}% of a step",
        saving / usual,
        (saving_pause - pause) / usual * 1e2
    );
    let pauses =
        steps.windows(2).filter(|pair| pair[0].2).map(|pair| (pair[1].0 - pair[0].1).as_secs_f64() * 1e3);
    println!("pauses of all saves in ms: {:.1?}", pauses.collect::<Vec<_>>());
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
