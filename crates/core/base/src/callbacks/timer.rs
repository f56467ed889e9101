//! Tells how long stages take, and ends training when its time is up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fulmen_contracts::Stage;
use fulmen_contracts::event::Level;
use fulmen_registry::component;
use fulmen_utils::text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{load_kept, yes};
use crate::Result;
use crate::callback::{Callback, CallbackKind, HookContext};
use crate::scheduler::Interval;
use crate::trainer::TimeLimit;

/// Tells how long stages take, and ends training when its time is up; the time before a resume counts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimerConfig {
    /// How long training may take, as `DD:HH:MM:SS` or `{hours: 12}`. Left null: as long as it takes.
    #[serde(default)]
    pub duration: Option<TimeLimit>,
    /// Whether training ends within an epoch or at its end.
    #[serde(default)]
    pub interval: Interval,
    /// Whether the times are told at the end.
    #[serde(default = "yes")]
    pub verbose: bool,
}

component! { CallbackKind, "timer", TimerConfig => |config, ()| Ok(Box::new(Timer::new(config.clone()))) }

/// Tells how long stages take.
#[derive(Debug)]
pub struct Timer {
    config: TimerConfig,
    kept: Kept,
    began: BTreeMap<Stage, Instant>,
}

/// What a checkpoint keeps of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// Seconds of each stage, those of earlier sessions included.
    time_elapsed: BTreeMap<Stage, f64>,
}

impl Timer {
    const fn new(config: TimerConfig) -> Self {
        Self { config, kept: Kept { time_elapsed: BTreeMap::new() }, began: BTreeMap::new() }
    }

    /// How long a stage has taken so far.
    pub fn time_elapsed(&self, stage: Stage) -> Duration {
        let before = Duration::from_secs_f64(self.kept.time_elapsed.get(&stage).copied().unwrap_or(0.0));
        before + self.began.get(&stage).map_or(Duration::ZERO, Instant::elapsed)
    }

    /// How long training may still go on; none without a duration.
    pub fn time_remaining(&self) -> Option<Duration> {
        let TimeLimit(duration) = self.config.duration?;
        Some(duration.saturating_sub(self.time_elapsed(Stage::Train)))
    }

    fn start(&mut self, stage: Stage) {
        self.began.insert(stage, Instant::now());
    }

    fn end(&mut self, stage: Stage) {
        let elapsed = self.time_elapsed(stage).as_secs_f64();
        if self.began.remove(&stage).is_some() {
            self.kept.time_elapsed.insert(stage, elapsed);
        }
    }

    fn check(&self, context: &mut HookContext<'_>) {
        if let Some(duration) = self.config.duration
            && self.time_remaining() == Some(Duration::ZERO)
        {
            context.request_stop(format!("the timer's duration={duration} is over"));
        }
    }
}

impl Callback for Timer {
    fn on_fit_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        // Whatever the interval: a run that goes on may have no time left.
        self.check(context);
        Ok(())
    }

    fn on_train_start(&mut self, _: &mut HookContext<'_>) -> Result<()> {
        self.start(Stage::Train);
        Ok(())
    }

    fn on_train_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.end(Stage::Train);
        if self.config.verbose {
            let time = |stage| text::clock(self.time_elapsed(stage));
            let message = format!(
                "training took {}, of which validation {}",
                time(Stage::Train),
                time(Stage::Validate)
            );
            context.events.log(Level::Info, message);
        }
        Ok(())
    }

    fn on_validation_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.start(context.stage);
        Ok(())
    }

    fn on_validation_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.end(context.stage);
        Ok(())
    }

    fn on_test_start(&mut self, _: &mut HookContext<'_>) -> Result<()> {
        self.start(Stage::Test);
        Ok(())
    }

    fn on_test_end(&mut self, _: &mut HookContext<'_>) -> Result<()> {
        self.end(Stage::Test);
        Ok(())
    }

    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.config.interval == Interval::Step {
            self.check(context);
        }
        Ok(())
    }

    fn on_train_epoch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.config.interval == Interval::Epoch {
            self.check(context);
        }
        Ok(())
    }

    fn state_dict(&self) -> Value {
        let stages = self.kept.time_elapsed.keys().chain(self.began.keys());
        let elapsed: BTreeMap<_, _> =
            stages.map(|&stage| (stage, self.time_elapsed(stage).as_secs_f64())).collect();
        json!({"time_elapsed": elapsed})
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.kept = load_kept("timer", state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::tests::CallbackHook;

    fn stops(timer: &mut Timer, hook: fn(&mut Timer, &mut HookContext<'_>) -> Result<()>) -> bool {
        let mut context = CallbackHook::new([]);
        hook(timer, &mut context.context()).unwrap();
        context.requests.stop.is_some()
    }

    fn timer(settings: Value) -> Timer {
        Timer::new(serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn the_time_of_earlier_sessions_counts() {
        let mut timer = timer(json!({"duration": "00:01:00:00"}));
        assert!(!stops(&mut timer, Timer::on_fit_start));
        timer.load_state_dict(&json!({"time_elapsed": {"train": 3599.0}})).unwrap();
        assert!(!stops(&mut timer, Timer::on_train_batch_end));
        assert!(timer.time_remaining().unwrap() <= Duration::from_secs(1));
        timer.load_state_dict(&json!({"time_elapsed": {"train": 3600.0}})).unwrap();
        assert!(stops(&mut timer, Timer::on_fit_start) && stops(&mut timer, Timer::on_train_batch_end));
        assert!(!stops(&mut timer, Timer::on_train_epoch_end));
    }

    #[test]
    fn an_epoch_is_ended_where_that_is_the_interval() {
        let mut timer = timer(json!({"duration": {"seconds": 0}, "interval": "epoch"}));
        assert!(
            !stops(&mut timer, Timer::on_train_batch_end) && stops(&mut timer, Timer::on_train_epoch_end)
        );
    }

    #[test]
    fn a_stage_that_runs_is_part_of_what_is_kept() {
        let mut timer = timer(json!({}));
        assert!(!stops(&mut timer, Timer::on_train_start));
        assert!(timer.state_dict()["time_elapsed"]["train"].as_f64().unwrap() > 0.0);
        assert!(!stops(&mut timer, Timer::on_train_end));
        let over = timer.time_elapsed(Stage::Train);
        assert_eq!(over, timer.time_elapsed(Stage::Train));
        assert_eq!(timer.time_remaining(), None);
    }
}
