//! Records how fast samples, tokens and floating-point operations go by.

mod peak;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use fulmen_contracts::Stage;
use fulmen_contracts::event::{Level, Values};
use fulmen_registry::component;
use fulmen_torch::flops::FlopCounter;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::callback::{Callback, CallbackKind, HookContext};
use crate::{Batch, Result};

/// Records samples, tokens and floating-point operations a second, and the share of the device's peak that they are (MFU), under the
/// names of Lightning: `train/device/samples_per_sec`. Operations are counted from what the first training batch dispatches, its
/// backward pass included.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThroughputMonitorConfig {
    /// Batches over which rates are taken; before so many are done there are none.
    #[serde(default = "hundred")]
    #[schemars(range(min = 2))]
    pub window_size: usize,
    /// The tensor of a batch whose values are counted as items, such as `tokens`. Left null: no items are counted.
    #[serde(default)]
    pub items: Option<String>,
    /// Floating-point operations a second that the device can do at most. Left null: from a table of GPUs; of a CPU what a matrix product
    /// reaches.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub available_flops: Option<f64>,
}

const fn hundred() -> usize {
    100
}

component! { CallbackKind, "throughput_monitor", ThroughputMonitorConfig => |config, ()| {
    Ok(Box::new(ThroughputMonitor { config: config.clone(), stages: BTreeMap::new(), flops_per_sample: None, counter: None, available: None }))
} }

/// Records how fast samples go by.
#[derive(Debug)]
pub struct ThroughputMonitor {
    config: ThroughputMonitorConfig,
    stages: BTreeMap<Stage, Window>,
    /// Floating-point operations of a training step, by sample.
    flops_per_sample: Option<f64>,
    counter: Option<FlopCounter>,
    /// Floating-point operations a second that the device can do.
    available: Option<f64>,
}

/// What a stage has done, after each of its last batches.
#[derive(Debug)]
struct Window {
    began: Instant,
    done: Done,
    last: VecDeque<Done>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Done {
    /// Seconds since the stage began, pauses left out.
    time: f64,
    batches: u64,
    samples: u64,
    items: u64,
    flops: f64,
}

impl Window {
    fn start() -> Self {
        Self { began: Instant::now(), done: Done::default(), last: VecDeque::new() }
    }

    /// Counts a batch.
    fn add(&mut self, size: usize, samples: u64, items: u64, flops: f64) {
        let done = &mut self.done;
        done.time = self.began.elapsed().as_secs_f64();
        (done.batches, done.samples, done.items) =
            (done.batches + 1, done.samples + samples, done.items + items);
        done.flops += flops;
        self.last.push_back(*done);
        if self.last.len() > size {
            self.last.pop_front();
        }
    }

    /// Sums, and rates where the window is full.
    fn values(&self, stage: Stage, size: usize, counts_items: bool, available: Option<f64>) -> Values {
        let mut values = Values::new();
        let mut tell = |name: &str, value: f64| {
            values.insert(format!("{}/{name}", stage.name()), value);
        };
        let done = self.done;
        tell("time", done.time);
        tell("batches", done.batches as f64);
        tell("samples", done.samples as f64);
        if counts_items {
            tell("lengths", done.items as f64);
        }
        if let Some(first) = self.last.front().filter(|_| self.last.len() == size) {
            let seconds = (done.time - first.time).max(f64::MIN_POSITIVE);
            tell("device/batches_per_sec", (done.batches - first.batches) as f64 / seconds);
            tell("device/samples_per_sec", (done.samples - first.samples) as f64 / seconds);
            if counts_items {
                tell("device/items_per_sec", (done.items - first.items) as f64 / seconds);
            }
            let flops = (done.flops - first.flops) / seconds;
            if flops > 0.0 {
                tell("device/flops_per_sec", flops);
                if let Some(available) = available {
                    tell("device/mfu", flops / available);
                }
            }
        }
        values
    }
}

impl ThroughputMonitor {
    fn add(&mut self, context: &HookContext<'_>) -> Result<()> {
        // Until the device is done, the clock says nothing.
        if let Some(loss) =
            context.outputs.and_then(|outputs| outputs.loss.as_ref()).filter(|loss| loss.device().is_cuda())
        {
            let _ = loss.f_double_value(&[])?;
        }
        let samples = context.batch.map_or(0, |batch| batch.size().max(0) as u64);
        let items = self.items(context.batch)?;
        let flops = self.flops_per_sample.filter(|_| context.stage == Stage::Train);
        let size = self.config.window_size.max(2);
        let window = self.stages.entry(context.stage).or_insert_with(Window::start);
        window.add(size, samples, items, flops.unwrap_or(0.0) * samples as f64);
        Ok(())
    }

    fn items(&self, batch: Option<&Batch>) -> Result<u64> {
        match (&self.config.items, batch) {
            (Some(name), Some(batch)) => Ok(batch.get(name)?.numel() as u64),
            _ => Ok(0),
        }
    }

    fn log(&self, context: &mut HookContext<'_>) {
        let stage = context.stage;
        if let Some(window) = self.stages.get(&stage) {
            let size = self.config.window_size.max(2);
            context.log(window.values(stage, size, self.config.items.is_some(), self.available));
        }
    }
}

impl Callback for ThroughputMonitor {
    fn on_train_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.available = match self.config.available_flops {
            Some(flops) => Some(flops),
            None => peak::flops(context.device, context.config.precision)?,
        };
        if self.available.is_none() {
            let message = "what this device can do at most is not known: set available_flops for the share that is used";
            context.events.log(Level::Warning, message);
        }
        self.stages.insert(Stage::Train, Window::start());
        Ok(())
    }

    fn on_train_batch_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.flops_per_sample.is_none() {
            let variables: Vec<_> =
                context.variables.iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
            // Another may be counting: then the next batch is.
            self.counter = FlopCounter::begin(&variables).ok();
        }
        Ok(())
    }

    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if let Some(counter) = self.counter.take() {
            let samples = context.batch.map_or(1, |batch| batch.size().max(1));
            self.flops_per_sample = Some(counter.end().total as f64 / samples as f64);
        }
        self.add(context)?;
        if context.state.logs_this_step {
            self.log(context);
        }
        Ok(())
    }

    fn on_exception(&mut self, _: &mut HookContext<'_>) -> Result<()> {
        self.counter = None;
        Ok(())
    }

    fn on_validation_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.stages.insert(context.stage, Window::start());
        Ok(())
    }

    fn on_validation_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.add(context)
    }

    fn on_validation_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if context.stage != Stage::Validate {
            return Ok(());
        }
        self.log(context);
        // Training stood still meanwhile.
        let paused = self.stages.get(&Stage::Validate).map(|window| window.began.elapsed());
        if let (Some(train), Some(paused)) = (self.stages.get_mut(&Stage::Train), paused) {
            train.began += paused;
        }
        Ok(())
    }

    fn on_test_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.stages.insert(context.stage, Window::start());
        Ok(())
    }

    fn on_test_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.add(context)
    }

    fn on_test_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.log(context);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_window_and_come_when_it_is_full() {
        let mut window = Window::start();
        let at = |time, batches: u64, flops| Done {
            time,
            batches,
            samples: 4 * batches,
            items: 40 * batches,
            flops,
        };
        window.last = [at(1.0, 1, 10.0), at(2.0, 2, 20.0), at(5.0, 3, 50.0)].into();
        window.done = at(5.0, 3, 50.0);
        let values = window.values(Stage::Train, 3, true, Some(100.0));
        let expected = [
            ("train/device/batches_per_sec", 0.5),
            ("train/device/samples_per_sec", 2.0),
            ("train/device/items_per_sec", 20.0),
            ("train/device/flops_per_sec", 10.0),
            ("train/device/mfu", 0.1),
            ("train/samples", 12.0),
            ("train/lengths", 120.0),
        ];
        for (name, value) in expected {
            assert_eq!(values[name], value, "{name}");
        }
        let early = window.values(Stage::Train, 4, false, None);
        assert_eq!(early.keys().collect::<Vec<_>>(), ["train/batches", "train/samples", "train/time"]);
    }

    #[test]
    fn a_window_keeps_as_many_batches_as_it_is_long() {
        let mut window = Window::start();
        (0..5).for_each(|_| window.add(3, 2, 0, 1.0));
        assert_eq!((window.last.len(), window.last[0].batches, window.done.samples), (3, 3, 10));
    }
}
