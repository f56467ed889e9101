//! The order of hooks is Lightning 2.6's, as its own test states it (`tests/tests_pytorch/models/test_hooks.py`): a callback's
//! hook, marked `C.`, runs just before the model's own.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test")]

mod common;

use std::sync::{Arc, Mutex};

use common::{Journal, RecordingCallback, RecordingData, RecordingModel, trainer, trainer_telling};
use fulmen_base::checkpoint::Checkpoint;
use fulmen_base::events::EventSink;
use fulmen_base::trainer::{Optimizers, Parts, TrainerConfig};
use fulmen_base::{Callback, HookContext, Model, Result, SchedulerContext};
use fulmen_contracts::Event;
use serde_json::json;

fn config(settings: serde_json::Value) -> TrainerConfig {
    serde_json::from_value(settings).unwrap()
}

/// Runs `fit` and gives what was called, in order.
fn fitted(
    settings: serde_json::Value,
    manual: bool,
    resume: Option<&Checkpoint>,
    folder: &std::path::Path,
) -> Vec<String> {
    let journal = Journal::default();
    let mut model = RecordingModel::new(&journal, manual);
    let mut data = RecordingData::new(&journal);
    let mut trainer = trainer(config(settings), folder);
    trainer.callbacks.push(("recorder".to_owned(), Box::new(RecordingCallback::new(&journal))));
    let mut configure = |model: &dyn Model, _: SchedulerContext| {
        journal.note("configure_optimizers");
        Ok(Optimizers::one(common::sgd(model), Some(Box::new(common::RecordingScheduler::new(&journal)))))
    };
    let parts = Parts { model: &mut model, data: &mut data, configure_optimizers: &mut configure };
    trainer.fit(parts, resume).unwrap();
    journal.taken()
}

/// A hook of callback and model.
fn both(hook: &str) -> Vec<String> {
    vec![format!("C.{hook}"), hook.to_owned()]
}

fn lines(text: &str) -> Vec<String> {
    text.split_whitespace()
        .flat_map(|word| match word.strip_prefix("C/") {
            Some(hook) => both(hook),
            None => vec![word.to_owned()],
        })
        .collect()
}

const TRANSFER: &str = "on_before_batch_transfer transfer_batch_to_device on_after_batch_transfer";

fn automatic_batch() -> String {
    format!(
        "{TRANSFER} C/on_train_batch_start training_step C/on_before_zero_grad optimizer_zero_grad \
         C/on_before_backward backward C/on_after_backward C/on_before_optimizer_step \
         configure_gradient_clipping optimizer_step lr_scheduler_step C/on_train_batch_end"
    )
}

fn validation_batch() -> String {
    format!("{TRANSFER} C/on_validation_batch_start validation_step C/on_validation_batch_end")
}

fn validation(batches: usize) -> String {
    let batches = vec![validation_batch(); batches].join(" ");
    format!(
        "C/on_validation_model_eval C/on_validation_start C/on_validation_epoch_start {batches} \
         C/on_validation_epoch_end C/on_validation_end C/on_validation_model_train"
    )
}

fn assert_order(called: &[String], expected: &str) {
    let expected = lines(expected);
    for (index, (called, expected)) in called.iter().zip(&expected).enumerate() {
        assert_eq!(called, expected, "call {index}, of {called:?}");
    }
    assert_eq!(called.len(), expected.len(), "{called:?}");
}

#[test]
fn fit_with_automatic_optimisation() {
    let folder = tempfile::tempdir().unwrap();
    let called = fitted(
        json!({"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 1, "num_sanity_val_steps": 1, "accelerator": "cpu"}),
        false,
        None,
        folder.path(),
    );
    assert_order(
        &called,
        &format!(
            "train_dataloader val_dataloader C/setup configure_model configure_optimizers \
             C/on_fit_start C/on_sanity_check_start {} C/on_sanity_check_end C/on_train_start C/on_train_epoch_start \
             {batch} {batch} C/on_validation_model_zero_grad {} C/on_train_epoch_end C.state_dict on_save_checkpoint \
             C/on_train_end C/on_fit_end C/teardown teardown_data",
            validation(1),
            validation(1),
            batch = automatic_batch(),
        ),
    );
}

#[test]
fn fit_with_manual_optimisation() {
    let folder = tempfile::tempdir().unwrap();
    let called = fitted(
        json!({"max_epochs": 1, "limit_train_batches": 1, "limit_val_batches": 0, "accelerator": "cpu"}),
        true,
        None,
        folder.path(),
    );
    assert_order(
        &called,
        &format!(
            "train_dataloader val_dataloader C/setup configure_model configure_optimizers \
             C/on_fit_start C/on_train_start C/on_train_epoch_start {TRANSFER} C/on_train_batch_start \
             C.on_before_zero_grad C.on_before_backward C.on_after_backward C.on_before_optimizer_step training_step \
             C/on_train_batch_end C/on_train_epoch_end C.state_dict on_save_checkpoint C/on_train_end C/on_fit_end C/teardown teardown_data"
        ),
    );
}

#[test]
fn fit_that_goes_on_restores_weights_and_callbacks_before_the_optimizers() {
    let folder = tempfile::tempdir().unwrap();
    let settings = |epochs: u64| json!({"max_epochs": epochs, "limit_train_batches": 1, "limit_val_batches": 0, "accelerator": "cpu"});
    fitted(settings(1), false, None, folder.path());
    let checkpoint = Checkpoint::open(&folder.path().join("checkpoints/last"), None).unwrap();
    let called = fitted(settings(2), false, Some(&checkpoint), folder.path());
    assert_order(
        &called,
        &format!(
            "train_dataloader val_dataloader C/setup configure_model on_load_checkpoint C.load_state_dict \
             configure_optimizers C/on_fit_start C/on_train_start C/on_train_epoch_start {} \
             C/on_train_epoch_end C.state_dict on_save_checkpoint C/on_train_end C/on_fit_end C/teardown teardown_data",
            automatic_batch(),
        ),
    );
}

#[test]
fn validate_test_and_predict() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::default();
    let mut model = RecordingModel::new(&journal, false);
    let mut data = RecordingData::new(&journal);
    let limits = json!({"limit_val_batches": 1, "limit_test_batches": 1, "limit_predict_batches": 1, "accelerator": "cpu"});
    let mut trainer = trainer(config(limits), folder.path());
    trainer.callbacks.push(("recorder".to_owned(), Box::new(RecordingCallback::new(&journal))));

    trainer.validate(&mut model, &mut data).unwrap();
    assert_order(
        &journal.taken(),
        &format!("C/setup val_dataloader {} C/teardown teardown_data", validation(1)),
    );

    trainer.test(&mut model, &mut data).unwrap();
    let test = validation(1).replace("validation", "test");
    assert_order(&journal.taken(), &format!("C/setup test_dataloader {test} C/teardown teardown_data"));

    let numbers = data.numbers();
    trainer.predict(&mut model, &mut data, numbers, &[], |_| {}).unwrap();
    let predict = validation(1).replace("validation", "predict");
    assert_order(&journal.taken(), &format!("C/setup {predict} C/teardown teardown_data"));
}

/// Logs what it sees at the end of a pass that stands alone.
#[derive(Debug)]
struct LogsAtTheEnd;

impl Callback for LogsAtTheEnd {
    fn on_validation_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        context.log([("val/of_a_callback".to_owned(), 3.0)].into());
        Ok(())
    }
}

#[test]
fn what_a_callback_logs_in_a_validation_of_its_own_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::default();
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = told.clone();
    let events = EventSink::new(move |event| {
        if let Event::Metrics { values, .. } = event {
            kept.lock().unwrap().push(values);
        }
    });
    let mut trainer = trainer_telling(config(json!({})), folder.path(), events);
    trainer.callbacks.push(("logs".to_owned(), Box::new(LogsAtTheEnd)));
    trainer.validate(&mut RecordingModel::new(&journal, false), &mut RecordingData::new(&journal)).unwrap();
    assert_eq!(*told.lock().unwrap(), [[("val/of_a_callback".to_owned(), 3.0)].into()]);
}

#[test]
fn an_exception_is_told_to_callbacks_model_and_data_before_teardown() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::default();
    let mut model = RecordingModel::new(&journal, false);
    model.fails = true;
    let mut data = RecordingData::new(&journal);
    let settings = json!({"max_epochs": 1, "limit_val_batches": 0, "accelerator": "cpu"});
    let mut trainer = trainer(config(settings), folder.path());
    trainer.callbacks.push(("recorder".to_owned(), Box::new(RecordingCallback::new(&journal))));
    let mut configure =
        |model: &dyn Model, _: SchedulerContext| Ok(Optimizers::one(common::sgd(model), None));
    let parts = Parts { model: &mut model, data: &mut data, configure_optimizers: &mut configure };
    let error = trainer.fit(parts, None).unwrap_err().to_string();
    assert!(error.contains("train step 0") && error.contains("on purpose"), "{error}");
    let called = journal.taken();
    assert_eq!(
        called[called.len() - 6..],
        lines("C/on_exception on_exception_data C/teardown teardown_data")
    );
}
