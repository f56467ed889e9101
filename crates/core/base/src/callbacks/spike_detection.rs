//! Notices a loss that leaps, and ends the run or leaves the step out.

use std::collections::VecDeque;
use std::path::PathBuf;

use fulmen_contracts::event::Level;
use fulmen_registry::component;
use fulmen_utils::atomic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::monitor::MonitorMode;
use super::{load_kept, yes};
use crate::callback::{Callback, CallbackKind, HookContext};
use crate::{Error, Result};

/// Notices a loss that leaps away from the mean of the last few, under Lightning's names and with its defaults. The batch and
/// the one before it are written down, since either may be what did it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpikeDetectionConfig {
    /// Whether the loss is to fall or to rise.
    #[serde(default)]
    pub mode: MonitorMode,
    /// Batches whose mean is what a leap is measured from.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    pub window: usize,
    /// Batches before which nothing is a leap.
    #[serde(default = "one")]
    pub warmup: u64,
    /// A leap differs from the mean by at least so much; null: by any amount.
    #[serde(default)]
    pub atol: Option<f64>,
    /// A leap differs from the mean by at least so many times the mean; null: by any.
    #[serde(default = "two")]
    pub rtol: Option<f64>,
    /// The file that names the batches of leaps, as a JSON list. Left null: `skip_batches.json` among the run's artifacts.
    #[serde(default)]
    pub exclude_batches_path: Option<PathBuf>,
    /// Whether a loss that is not finite is a leap.
    #[serde(default = "yes")]
    pub finite_only: bool,
    /// Whether the step of a leap is left out and training goes on; else the run ends, as with Lightning.
    #[serde(default)]
    pub skip_step: bool,
}

const fn ten() -> usize {
    10
}

const fn one() -> u64 {
    1
}

#[expect(clippy::unnecessary_wraps, reason = "the form that serde asks for")]
const fn two() -> Option<f64> {
    Some(2.0)
}

component! { CallbackKind, "spike_detection", SpikeDetectionConfig => |config, ()| {
    Ok(Box::new(SpikeDetection::new(config.clone())))
} }

/// Notices a loss that leaps.
#[derive(Debug)]
pub struct SpikeDetection {
    config: SpikeDetectionConfig,
    kept: Kept,
    /// A batch of the window at hand leapt.
    leapt: bool,
}

/// What a checkpoint keeps of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The last losses that were no leap, oldest first.
    window: VecDeque<f64>,
    /// Batches seen.
    seen: u64,
    bad_batches: Vec<u64>,
}

impl SpikeDetection {
    const fn new(config: SpikeDetectionConfig) -> Self {
        let kept = Kept { window: VecDeque::new(), seen: 0, bad_batches: Vec::new() };
        Self { config, kept, leapt: false }
    }

    fn is_spike(&self, loss: f64) -> bool {
        let SpikeDetectionConfig { mode, atol, rtol, warmup, finite_only, .. } = &self.config;
        let window = &self.kept.window;
        let (Some(last), true) = (window.back(), self.kept.seen >= *warmup) else { return false };
        if !loss.is_finite() {
            return *finite_only;
        }
        let better = match mode {
            MonitorMode::Min => loss <= *last,
            MonitorMode::Max => loss >= *last,
        };
        let mean = window.iter().sum::<f64>() / window.len() as f64;
        let apart = (loss - mean).abs();
        !better
            && atol.is_none_or(|atol| apart >= atol.abs())
            && rtol.is_none_or(|rtol| apart >= (rtol * mean).abs())
    }

    fn write_down(&mut self, context: &HookContext<'_>) -> Result<()> {
        let batch = context.batch_index;
        self.kept.bad_batches.extend(batch.checked_sub(1).into_iter().chain([batch]));
        let path = self.config.exclude_batches_path.clone().map_or_else(
            || context.folder.join("skip_batches.json"),
            |path| if path.extension().is_some() { path } else { path.join("skip_batches.json") },
        );
        Ok(atomic::write(&path, json!(self.kept.bad_batches).to_string().as_bytes())?)
    }
}

impl Callback for SpikeDetection {
    fn on_after_backward(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let Some(loss) = context.outputs.and_then(|outputs| outputs.loss.as_ref()) else { return Ok(()) };
        let loss = loss.f_double_value(&[])?;
        let spike = self.is_spike(loss);
        self.kept.seen += 1;
        if !spike {
            if loss.is_finite() {
                self.kept.window.push_back(loss);
                if self.kept.window.len() > self.config.window.max(1) {
                    self.kept.window.pop_front();
                }
            }
            return Ok(());
        }
        self.write_down(context)?;
        let (epoch, batch) = (context.state.epoch, context.batch_index);
        let message = format!("the loss leapt to {loss:.4} in batch {batch} of epoch {epoch}");
        if !self.config.skip_step {
            return Err(Error::Torch(format!(
                "{message}; the batches of leaps are named in skip_batches.json"
            )));
        }
        context.events.log(Level::Warning, format!("{message}: the step is left out"));
        self.leapt = true;
        Ok(())
    }

    fn on_before_optimizer_step(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if std::mem::take(&mut self.leapt) {
            context.skip_step();
        }
        Ok(())
    }

    fn state_dict(&self) -> Value {
        json!({"kept": self.kept, "leapt": self.leapt})
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.kept = load_kept("spike_detection", &state["kept"])?;
        self.leapt = load_kept("spike_detection", &state["leapt"])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fulmen_torch::tch::Tensor;

    use super::*;
    use crate::callback::tests::CallbackHook;
    use crate::step::StepOutput;

    fn detection(settings: Value) -> SpikeDetection {
        SpikeDetection::new(serde_json::from_value(settings).unwrap())
    }

    /// Which of the batches with these losses leap.
    fn leaps(settings: Value, losses: &[f64]) -> Vec<usize> {
        let mut settings = settings;
        settings["skip_step"] = true.into();
        let mut callback = detection(settings);
        let folder = tempfile::tempdir().unwrap();
        let leapt = |(index, loss): (usize, &f64)| {
            let mut hook = CallbackHook::new([]);
            hook.folder = folder.path().to_path_buf();
            hook.batch_index = Some(index as u64);
            hook.outputs = Some(StepOutput::loss(Tensor::from(*loss)));
            callback.on_after_backward(&mut hook.context()).unwrap();
            callback.on_before_optimizer_step(&mut hook.context()).unwrap();
            hook.requests.skip_step.then_some(index)
        };
        losses.iter().enumerate().filter_map(leapt).collect()
    }

    #[test]
    fn a_leap_is_more_than_twice_the_mean_of_the_window_away() {
        assert_eq!(leaps(json!({}), &[1.0, 1.1, 0.9, 3.5, 1.0, 2.9]), [3]);
        // A leap does not count towards the mean: the next is one too.
        assert_eq!(leaps(json!({}), &[1.0, 9.0, 9.0]), [1, 2]);
        assert_eq!(leaps(json!({"rtol": null, "atol": 0.5}), &[1.0, 1.2, 1.8]), [2]);
        assert_eq!(leaps(json!({"window": 1}), &[1.0, 2.5, 7.0]), [] as [usize; 0]);
    }

    #[test]
    fn what_is_not_finite_is_a_leap_unless_that_is_turned_off() {
        assert_eq!(leaps(json!({}), &[1.0, f64::NAN, f64::INFINITY]), [1, 2]);
        assert_eq!(leaps(json!({"finite_only": false}), &[1.0, f64::NAN]), [] as [usize; 0]);
    }

    #[test]
    fn an_improvement_and_the_warm_up_are_no_leaps() {
        assert_eq!(leaps(json!({}), &[9.0, 1.0]), [] as [usize; 0]);
        assert_eq!(leaps(json!({"mode": "max"}), &[-1.0, -9.0]), [1]);
        assert_eq!(leaps(json!({"warmup": 3}), &[1.0, 9.0, 9.0, 90.0]), [3]);
    }

    #[test]
    fn without_skip_the_run_ends_and_both_batches_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut callback = detection(json!({}));
        let mut step = |index, loss| {
            let mut hook = CallbackHook::new([]);
            (hook.folder, hook.batch_index) = (folder.path().to_path_buf(), Some(index));
            hook.outputs = Some(StepOutput::loss(Tensor::from(loss)));
            callback.on_after_backward(&mut hook.context())
        };
        step(4, 1.0).unwrap();
        assert!(step(5, 9.0).unwrap_err().to_string().contains("leapt to 9.0000 in batch 5"));
        let named = std::fs::read_to_string(folder.path().join("skip_batches.json")).unwrap();
        assert_eq!(named, "[4,5]");
        let mut resumed = detection(json!({}));
        resumed.load_state_dict(&callback.state_dict()).unwrap();
        assert_eq!((resumed.kept.seen, resumed.kept.bad_batches), (2, vec![4, 5]));
    }
}
