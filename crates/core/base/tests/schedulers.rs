//! Schedules against torch's own over 100 steps, and what holds for all of them: groups in proportion, exact resume.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic")]

use std::path::Path;

use fulmen_base::scheduler::{Interval, SchedulerContext};
use fulmen_base::{ParamGroup, Scheduler, SchedulerKind};
use fulmen_registry::{BuildError, registry};
use serde::Deserialize;
use serde_json::{Value, json};

const CONTEXT: SchedulerContext = SchedulerContext { total_steps: Some(100), total_epochs: Some(100) };

/// What fixtures/schedulers.py keeps of a case.
#[derive(Deserialize)]
struct Case {
    name: String,
    config: Value,
    lrs: Vec<f64>,
    momentum: Vec<f64>,
    /// Null is not a number.
    metrics: Vec<Option<f64>>,
    /// After 0, 1, … steps: the rate of each group, followed by its momentum where that moves in the case.
    values: Vec<Vec<f64>>,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schedulers.json");
    let mut listed: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::from_value(listed["cases"].take()).unwrap()
}

fn build(config: &Value, context: SchedulerContext) -> Result<Box<dyn Scheduler>, BuildError> {
    registry().unwrap().build::<SchedulerKind>(config, context)
}

fn group(lr: f64, momentum: Option<f64>) -> ParamGroup {
    ParamGroup {
        name: "default".to_owned(),
        names: Vec::new(),
        params: Vec::new(),
        lr,
        initial_lr: lr,
        weight_decay: 0.0,
        momentum,
    }
}

impl Case {
    fn groups(&self) -> Vec<ParamGroup> {
        self.lrs.iter().zip(&self.momentum).map(|(lr, momentum)| group(*lr, Some(*momentum))).collect()
    }

    /// What the schedule gives from step `from` on, as `values` has it.
    fn run(&self, scheduler: &mut dyn Scheduler, from: usize, to: usize) -> Vec<Vec<f64>> {
        let mut groups = self.groups();
        let mut rows = Vec::new();
        for done in from..to {
            scheduler.apply(done as u64, &mut groups);
            rows.push(groups.iter().flat_map(|group| [group.lr, group.momentum.unwrap()]).collect());
            if let Some(metric) = self.metrics.get(done) {
                scheduler.observe(metric.unwrap_or(f64::NAN));
            }
        }
        rows
    }
}

#[test]
fn every_schedule_agrees_with_torch_over_100_steps() {
    let cases = cases();
    for case in &cases {
        let found = case.run(build(&case.config, CONTEXT).unwrap().as_mut(), 0, 101);
        assert_eq!(case.values.len(), 101);
        for (done, (found, wanted)) in found.iter().zip(&case.values).enumerate() {
            let moves = wanted.len() == found.len();
            let still = case.lrs.len() == wanted.len();
            assert!(moves || still);
            let wanted = (0..found.len()).map(|index| match (moves, index % 2) {
                (true, _) => wanted[index],
                (false, 0) => wanted[index / 2],
                (false, _) => case.momentum[index / 2],
            });
            for (found, wanted) in found.iter().zip(wanted) {
                // Where torch comes to 0 by multiplying, a last bit is left.
                let close = (found - wanted).abs() <= 1e-6 * wanted.abs() + 1e-15;
                assert!(close, "{} after {done}: {found} is not {wanted}", case.name);
            }
        }
    }
    let registered = registry().unwrap().names("scheduler");
    let missing = |name: &&&str| !cases.iter().any(|case| case.config["_target_"] == **name);
    assert_eq!(registered.iter().find(missing), None, "a schedule has no vectors");
}

#[test]
fn resume_goes_on_with_the_same_rates() {
    let mut with_state = 0;
    for case in cases() {
        let mut first = build(&case.config, CONTEXT).unwrap();
        let whole = case.run(build(&case.config, CONTEXT).unwrap().as_mut(), 0, 101);
        for half in [1, 20, 50, 70] {
            let mut rows = case.run(first.as_mut(), 0, half);
            let saved = serde_json::to_string(&first.state_dict()).unwrap();
            with_state += usize::from(saved != "null");
            let mut second = build(&case.config, CONTEXT).unwrap();
            second.load_state_dict(&serde_json::from_str(&saved).unwrap()).unwrap();
            rows.extend(case.run(second.as_mut(), half, 101));
            assert_eq!(rows, whole, "{}", case.name);
            first = build(&case.config, CONTEXT).unwrap();
        }
    }
    assert!(with_state > 0);
}

#[test]
fn one_cycle_leaves_optimizers_without_momentum_as_they_are() {
    let mut groups = [group(1.0, None)];
    build(&json!({"_target_": "one_cycle"}), CONTEXT).unwrap().apply(29, &mut groups);
    assert_eq!((groups[0].lr, groups[0].momentum), (1.0, None));
}

#[test]
fn very_short_cycles_have_rates() {
    for total in 0..5 {
        let config = json!({"_target_": "one_cycle", "total_steps": total, "three_phase": total % 2 == 0});
        let mut groups = [group(1.0, Some(0.9))];
        for done in 0..6 {
            build(&config, CONTEXT).unwrap().apply(done, &mut groups);
            assert!((0.0..=1.0).contains(&groups[0].lr), "{total} {done}: {}", groups[0].lr);
        }
    }
}

#[test]
fn a_warm_up_before_a_plateau_passes_its_metric_on_and_saves_its_state() {
    let config = json!({"_target_": "linear_warmup", "warmup_steps": 2, "then":
        {"_target_": "reduce_on_plateau", "monitor": "val/loss", "patience": 0, "factor": 0.5}});
    let mut scheduler = build(&config, CONTEXT).unwrap();
    assert_eq!((scheduler.monitor(), scheduler.interval()), (Some("val/loss"), Interval::Step));
    let mut groups = [group(1.0, None)];
    let mut rate = |scheduler: &mut dyn Scheduler, done| {
        scheduler.apply(done, &mut groups);
        groups[0].lr
    };
    assert_eq!([0, 1, 2].map(|done| rate(scheduler.as_mut(), done)), [0.0, 0.5, 1.0]);
    scheduler.observe(1.0);
    scheduler.observe(1.0);
    let state = scheduler.state_dict();
    let mut resumed = build(&config, CONTEXT).unwrap();
    resumed.load_state_dict(&state).unwrap();
    assert_eq!(rate(resumed.as_mut(), 3), 0.5);
    assert!(resumed.load_state_dict(&json!({"best": "x"})).is_err());
}

#[test]
fn what_does_not_fit_is_said_with_its_key() {
    let refusal = |config: Value, context| {
        let error = build(&config, context).unwrap_err();
        (error.key_below("scheduler"), error.to_string())
    };
    let endless = SchedulerContext { total_steps: None, total_epochs: None };
    let (key, message) = refusal(json!({"_target_": "polynomial"}), endless);
    assert_eq!(key, "scheduler.total_iters");
    assert!(message.contains("set total_iters, trainer.max_steps or trainer.max_epochs"), "{message}");
    let warm = |then: Value| json!({"_target_": "linear_warmup", "warmup_steps": 10, "then": then});
    let (key, message) = refusal(warm(json!({"_target_": "step", "step_size": 3})), CONTEXT);
    assert_eq!(key, "scheduler.then.interval");
    assert!(message.contains("`interval`"), "{message}");
    let (key, message) = refusal(warm(json!({"_target_": "cosin"})), CONTEXT);
    assert_eq!(key, "scheduler.then._target_");
    assert!(message.contains("did you mean 'cosine'"), "{message}");
    let (key, _) = refusal(warm(json!({"_target_": "cosine", "min_facto": 0})), CONTEXT);
    assert_eq!(key, "scheduler.then.min_facto");
    let (key, _) = refusal(json!({"_target_": "linear_warmup", "warmup_steps": 100}), CONTEXT);
    assert_eq!(key, "scheduler.warmup_steps");
}
