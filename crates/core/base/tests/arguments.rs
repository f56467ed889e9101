//! Each argument of the trainer has its effect. Data: eight samples in batches of two, four batches an epoch.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test")]

mod common;

use std::sync::{Arc, Mutex};

use common::{Journal, RecordingCallback, RecordingData, RecordingModel, trainer_telling};
use fulmen_base::events::EventSink;
use fulmen_base::model::named;
use fulmen_base::trainer::{FitOutcome, Optimizers, Parts, TrainerConfig};
use fulmen_base::{Callback, HookContext, Model, Result, SchedulerContext};
use fulmen_contracts::{Axis, Event, Stage};
use fulmen_torch::tch::Kind;
use serde_json::{Value, json};

/// What came of a run.
struct Ran {
    outcome: FitOutcome,
    calls: Vec<String>,
    events: Vec<Event>,
    model: RecordingModel,
    folder: tempfile::TempDir,
}

impl Ran {
    fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|known| *known == call).count()
    }

    fn batches(&self) -> usize {
        self.count("C.on_train_batch_end")
    }

    /// How many training batches were done before each validation; the sanity check has a hook of its own.
    fn validated_after(&self) -> Vec<usize> {
        let mut batches = 0;
        let mut found = Vec::new();
        for call in &self.calls {
            match call.as_str() {
                "C.on_train_batch_end" => batches += 1,
                "C.on_validation_model_zero_grad" => found.push(batches),
                _ => {}
            }
        }
        found
    }

    fn logged(&self, axis: Axis) -> Vec<(u64, Vec<String>)> {
        let of = |event: &Event| match event {
            Event::Metrics { axis: known, at, values, .. } if *known == axis => {
                Some((*at, values.keys().cloned().collect()))
            }
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }

    fn saved(&self) -> bool {
        self.folder.path().join("checkpoints/last").exists()
    }
}

fn fit_with(settings: Value, more: Vec<Box<dyn Callback>>) -> Result<Ran> {
    let mut all =
        json!({"accelerator": "cpu", "limit_val_batches": 1, "num_sanity_val_steps": 0, "max_epochs": 1});
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let config: TrainerConfig = serde_json::from_value(all).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = events.clone();
    let mut trainer =
        trainer_telling(config, folder.path(), EventSink::new(move |event| told.lock().unwrap().push(event)));
    let journal = Journal::default();
    trainer.callbacks.push(("recorder".to_owned(), Box::new(RecordingCallback::new(&journal))));
    trainer.callbacks.extend(more.into_iter().map(|callback| ("other".to_owned(), callback)));
    let (mut model, mut data) = (RecordingModel::new(&journal, false), RecordingData::new(&journal));
    trainer.config = trainer.config.settled()?;
    trainer.prepare(&model)?;
    let mut configure =
        |model: &dyn Model, _: SchedulerContext| Ok(Optimizers::one(common::sgd(model), None));
    let parts = Parts { model: &mut model, data: &mut data, configure_optimizers: &mut configure };
    let outcome = trainer.fit(parts, None)?;
    drop(trainer);
    let events = std::mem::take(&mut *events.lock().unwrap());
    Ok(Ran { outcome, calls: journal.taken(), events, model, folder })
}

fn fit(settings: Value) -> Ran {
    fit_with(settings, Vec::new()).unwrap()
}

/// Asks to stop at the first batch.
#[derive(Debug)]
struct StopsAtOnce;

impl Callback for StopsAtOnce {
    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        context.request_stop("enough");
        Ok(())
    }
}

#[test]
fn max_epochs_ends_after_so_many_passes() {
    let ran = fit(json!({"max_epochs": 3}));
    assert_eq!((ran.batches(), ran.outcome.state.epoch), (12, 3));
    assert_eq!(ran.outcome.reason, "max_epochs=3 reached");
}

#[test]
fn max_steps_ends_in_the_middle_of_an_epoch() {
    let ran = fit(json!({"max_epochs": -1, "max_steps": 6}));
    assert_eq!((ran.batches(), ran.outcome.state.global_step, ran.outcome.state.epoch), (6, 6, 1));
    assert_eq!(ran.outcome.reason, "max_steps=6 reached");
}

#[test]
fn min_epochs_and_min_steps_hold_a_stop_back() {
    let stopped = |settings| fit_with(settings, vec![Box::new(StopsAtOnce)]).unwrap();
    assert_eq!(stopped(json!({"max_epochs": 5})).batches(), 1);
    let ran = stopped(json!({"max_epochs": 5, "min_epochs": 2}));
    assert_eq!((ran.batches(), ran.outcome.reason.as_str()), (8, "enough"));
    assert_eq!(stopped(json!({"max_epochs": 5, "min_steps": 6})).batches(), 6);
    let told = |ran: &Ran| {
        ran.events
            .iter()
            .any(|event| matches!(event, Event::Log { message, .. } if message.contains("min_epochs")))
    };
    assert!(told(&ran));
}

#[test]
fn max_time_ends_by_the_clock() {
    let ran = fit(json!({"max_epochs": -1, "max_time": {"seconds": 0}}));
    assert_eq!((ran.batches(), ran.outcome.reason.as_str()), (0, "max_time=00:00:00:00 reached"));
}

#[test]
fn limits_are_shares_or_numbers_of_batches() {
    assert_eq!(fit(json!({"limit_train_batches": 0.5})).batches(), 2);
    assert_eq!(fit(json!({"limit_train_batches": 3})).batches(), 3);
    assert_eq!(fit(json!({"limit_val_batches": 1.0})).count("validation_step"), 4);
    assert_eq!(fit(json!({"limit_val_batches": 2})).count("validation_step"), 2);
    assert_eq!(fit(json!({"limit_val_batches": 0})).count("validation_step"), 0);
    let none = fit(json!({"limit_train_batches": 0}));
    assert_eq!(
        (none.batches(), none.outcome.reason.as_str()),
        (0, "limit_train_batches=0: nothing was trained")
    );
    let error = fit_with(json!({"limit_train_batches": 0.1}), Vec::new()).err().unwrap();
    assert!(
        error.to_string().contains("of 4 batches none is left") && error.to_string().contains("0.25"),
        "{error}"
    );
}

#[test]
fn limit_test_and_predict_batches_bound_their_loops() {
    let journal = Journal::default();
    let (mut model, mut data) = (RecordingModel::new(&journal, false), RecordingData::new(&journal));
    let config = json!({"limit_test_batches": 3, "limit_predict_batches": 0.5, "accelerator": "cpu"});
    let mut trainer = common::trainer(serde_json::from_value(config).unwrap(), std::path::Path::new("."));
    trainer.test(&mut model, &mut data).unwrap();
    let numbers = data.numbers();
    trainer.predict(&mut model, &mut data, numbers, &[], |_| {}).unwrap();
    let calls = journal.taken();
    let count = |call: &str| calls.iter().filter(|known| *known == call).count();
    assert_eq!((count("test_step"), count("predict_step")), (3, 2));
}

#[test]
fn overfit_batches_takes_the_same_few_samples_each_epoch() {
    let ran = fit(json!({"overfit_batches": 1, "max_epochs": 3}));
    assert_eq!(ran.batches(), 3);
    assert_eq!(ran.model.samples_seen(), [0, 1, 0, 1, 0, 1]);
    assert_ne!(
        fit(json!({"limit_train_batches": 1, "max_epochs": 3})).model.samples_seen(),
        [0, 1, 0, 1, 0, 1]
    );
}

#[test]
fn fast_dev_run_runs_one_batch_of_each_loop_and_saves_nothing() {
    let ran = fit(
        json!({"fast_dev_run": true, "max_epochs": 9, "num_sanity_val_steps": 2, "limit_val_batches": 1.0}),
    );
    assert_eq!(
        (ran.batches(), ran.count("validation_step"), ran.count("C.on_sanity_check_start")),
        (1, 1, 0)
    );
    assert!(!ran.saved());
    assert_eq!(fit(json!({"fast_dev_run": 3})).batches(), 3);
}

#[test]
fn validation_comes_when_it_was_asked_for() {
    assert_eq!(fit(json!({"max_epochs": 2})).validated_after(), [4, 8]);
    assert_eq!(fit(json!({"val_check_interval": 0.5})).validated_after(), [2, 4]);
    assert_eq!(fit(json!({"val_check_interval": 3})).validated_after(), [3]);
    assert_eq!(fit(json!({"max_epochs": 4, "check_val_every_n_epoch": 2})).validated_after(), [8, 16]);
    let over_epochs = json!({"max_epochs": 3, "val_check_interval": 6, "check_val_every_n_epoch": null});
    assert_eq!(fit(over_epochs).validated_after(), [6, 12]);
    assert_eq!(fit(json!({"val_check_interval": {"seconds": 0}})).validated_after(), [1, 2, 3, 4]);
    assert_eq!(fit(json!({"val_check_interval": "01:00:00:00"})).validated_after(), [0; 0]);
    let error = fit_with(json!({"val_check_interval": 5}), Vec::new()).err().unwrap();
    assert!(error.to_string().contains("more than the 4 training batches"), "{error}");
}

#[test]
fn a_stop_within_an_epoch_is_validated_first() {
    let ran = fit_with(json!({"max_epochs": 5}), vec![Box::new(StopsAtOnce)]).unwrap();
    assert_eq!(ran.validated_after(), [1]);
}

#[test]
fn num_sanity_val_steps_validates_before_training() {
    let of = |steps: i64| {
        let ran = fit(json!({"num_sanity_val_steps": steps, "limit_val_batches": 1.0}));
        ran.calls
            .iter()
            .take_while(|call| *call != "C.on_train_start")
            .filter(|call| *call == "validation_step")
            .count()
    };
    assert_eq!((of(0), of(2), of(-1)), (0, 2, 4));
}

#[test]
fn log_every_n_steps_says_which_steps_are_recorded_along_which_axis() {
    let steps = |every: u64| -> Vec<u64> {
        fit(json!({"max_epochs": 2, "log_every_n_steps": every}))
            .logged(Axis::Step)
            .into_iter()
            .map(|(at, _)| at)
            .collect()
    };
    assert_eq!(steps(3), [3, 6]);
    assert_eq!(steps(0), [0; 0]);
    let ran = fit(json!({"max_epochs": 2, "log_every_n_steps": 4}));
    // The model logs `own` at each step: its mean is along the epochs.
    assert_eq!(
        ran.logged(Axis::Step)[0],
        (4, vec!["train/loss_step".to_owned(), "train/own_step".to_owned()])
    );
    assert_eq!(ran.logged(Axis::Epoch)[0], (0, vec!["train/own".to_owned()]));
}

#[test]
fn enable_checkpointing_progress_bar_and_barebones_turn_things_off() {
    assert!(fit(json!({})).saved() && !fit(json!({"enable_checkpointing": false})).saved());
    let bare = fit(json!({"barebones": true, "log_every_n_steps": 1}));
    assert!(!bare.saved() && bare.logged(Axis::Step).is_empty());
}

#[test]
fn accumulate_grad_batches_makes_one_step_of_several_and_closes_the_epoch() {
    let ran = fit(json!({"accumulate_grad_batches": 3, "max_epochs": 2}));
    assert_eq!((ran.batches(), ran.count("optimizer_step"), ran.outcome.state.global_step), (8, 4, 4));
    assert_eq!(ran.count("C.on_before_zero_grad"), 4);
}

#[test]
fn accumulated_gradients_are_those_of_one_large_batch() {
    let weights = |accumulate: u64, batch_size: u64| {
        let ran = fit_with_batches(
            json!({"accumulate_grad_batches": accumulate, "overfit_batches": 1.0}),
            batch_size,
        );
        named(ran.model.variables()).into_iter().map(|(_, tensor)| tensor).collect::<Vec<_>>()
    };
    for (small, large) in weights(4, 2).iter().zip(&weights(1, 8)) {
        assert!(small.allclose(large, 1e-6, 1e-7, false), "{small} {large}");
    }
}

fn fit_with_batches(settings: Value, batch_size: u64) -> Ran {
    common::BATCH_SIZE.with(|size| size.set(batch_size));
    let ran = fit(settings);
    common::BATCH_SIZE.with(|size| size.set(2));
    ran
}

#[test]
fn gradients_are_clipped_by_norm_or_by_value() {
    let largest = |settings: Value| fit(settings).model.largest_gradient();
    let free = largest(json!({}));
    assert!(free.1 > 0.5, "{free:?}");
    let (norm, _) = largest(json!({"gradient_clip_val": 0.01}));
    assert!((norm - 0.01).abs() < 1e-4, "{norm}");
    let (_, value) = largest(json!({"gradient_clip_val": 0.02, "gradient_clip_algorithm": "value"}));
    assert!((value - 0.02).abs() < 1e-6, "{value}");
}

#[test]
fn precision_is_that_of_parameters_data_and_products() {
    let kinds = |precision: &str| {
        let ran = fit(json!({"precision": precision}));
        (named(ran.model.variables())[0].1.kind(), ran.model.kinds())
    };
    assert_eq!(kinds("32-true"), (Kind::Float, (Kind::Float, Kind::Float)));
    assert_eq!(kinds("64-true"), (Kind::Double, (Kind::Double, Kind::Double)));
    assert_eq!(kinds("bf16-true"), (Kind::BFloat16, (Kind::BFloat16, Kind::BFloat16)));
    assert_eq!(kinds("16-true"), (Kind::Half, (Kind::Half, Kind::Half)));
    assert_eq!(kinds("bf16-mixed"), (Kind::Float, (Kind::Float, Kind::BFloat16)));
    assert_eq!(kinds("16-mixed"), (Kind::Float, (Kind::Float, Kind::Half)));
}

#[test]
fn inference_mode_is_torchs_own_and_can_be_turned_off() {
    assert!(fit(json!({})).model.evaluated_in_inference_mode());
    assert!(!fit(json!({"inference_mode": false})).model.evaluated_in_inference_mode());
}

#[test]
fn reload_dataloaders_every_n_epochs_asks_the_data_anew() {
    assert_eq!(fit(json!({"max_epochs": 5})).count("train_dataloader"), 1);
    assert_eq!(
        fit(json!({"max_epochs": 5, "reload_dataloaders_every_n_epochs": 2})).count("train_dataloader"),
        3
    );
}

#[test]
fn stages_tell_their_own_length() {
    let ran = fit(json!({"limit_train_batches": 3}));
    let trained =
        |event: &Event| matches!(event, Event::StageFinished { stage: Stage::Train, batches: 3, .. });
    assert!(ran.events.iter().any(trained));
}
