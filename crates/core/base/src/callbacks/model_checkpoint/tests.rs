//! What is kept, when, and under which name.

use super::*;
use crate::callback::tests::CallbackHook;
use crate::trainer::ValCheckInterval;

fn checkpoint(settings: Value) -> ModelCheckpoint {
    ModelCheckpoint::new(serde_json::from_value(settings).unwrap()).unwrap()
}

fn refusal(settings: Value) -> String {
    ModelCheckpoint::new(serde_json::from_value(settings).unwrap()).unwrap_err().to_string()
}

/// The state after `steps` steps, of which each was an epoch.
fn hook(steps: u64, loss: f64) -> CallbackHook {
    let mut hook = CallbackHook::new([("val/loss", loss)]);
    (hook.state.epoch, hook.state.global_step, hook.state.total_batches) = (steps - 1, steps, steps);
    (hook.state.stepped, hook.state.ever_validated) = (true, true);
    hook
}

fn epoch(callback: &mut ModelCheckpoint, epoch: u64, loss: f64) -> Vec<CheckpointRequest> {
    let mut hook = hook(epoch + 1, loss);
    callback.on_train_epoch_end(&mut hook.context()).unwrap();
    hook.requests.checkpoints
}

#[test]
fn the_best_and_the_last_are_kept_and_nothing_else() {
    let mut callback = checkpoint(json!({"monitor": "val/loss"}));
    let first = &epoch(&mut callback, 0, 1.0)[0];
    assert_eq!((first.aliases.as_slice(), first.replaces.len()), (["best", "last"].as_slice(), 0));
    // Worse: it is the last, and the best stays.
    let second = &epoch(&mut callback, 1, 2.0)[0];
    assert_eq!((second.aliases.as_slice(), second.replaces.len()), (["last"].as_slice(), 0));
    // Best of all: both older ones go.
    let third = &epoch(&mut callback, 2, 0.5)[0];
    assert_eq!(third.replaces, ["epoch=0-step=1", "epoch=1-step=2"]);
    assert_eq!(third.reason, "best val/loss 0.5000");
}

#[test]
fn before_the_first_validation_only_the_last_is_kept() {
    let mut callback = checkpoint(json!({"monitor": "val/loss"}));
    for (steps, replaced) in [(1, vec![]), (2, vec!["epoch=0-step=1"])] {
        let mut hook = hook(steps, 0.0);
        hook.metrics.clear();
        hook.state.ever_validated = false;
        callback.on_train_epoch_end(&mut hook.context()).unwrap();
        let saved = &hook.requests.checkpoints[0];
        assert_eq!(saved.aliases, ["last"]);
        assert_eq!(saved.replaces, replaced);
    }
    let third = &epoch(&mut callback, 2, 0.5)[0];
    assert_eq!(third.aliases, ["best", "last"]);
    // A metric that a validation does not measure is a mistake.
    let mut hook = hook(4, 0.5);
    hook.metrics.clear();
    assert!(callback.on_train_epoch_end(&mut hook.context()).is_err());
}

#[test]
fn a_link_saves_nothing_for_the_last_alone() {
    let mut callback = checkpoint(json!({"monitor": "val/loss", "save_last": "link"}));
    assert_eq!(epoch(&mut callback, 0, 1.0)[0].aliases, ["best", "last"]);
    assert!(epoch(&mut callback, 1, 2.0).is_empty());
    assert_eq!(epoch(&mut callback, 2, 0.5)[0].replaces, ["epoch=0-step=1"]);
}

#[test]
fn top_two_keep_their_order_and_all_are_kept_where_none_is_too_many() {
    let mut callback = checkpoint(json!({"monitor": "val/loss", "save_top_k": 2}));
    for (number, loss) in [3.0, 1.0, 2.0, 4.0].into_iter().enumerate() {
        epoch(&mut callback, number as u64, loss);
    }
    let names: Vec<_> = callback.kept.best.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["epoch=1-step=2", "epoch=2-step=3"]);
    let mut all = checkpoint(json!({"save_top_k": -1}));
    assert!((0..4).all(|number| epoch(&mut all, number, 0.0)[0].replaces.is_empty()));
    assert_eq!(all.kept.best.len(), 4);
    let mut none = checkpoint(json!({"save_top_k": 0, "save_last": false}));
    assert!(epoch(&mut none, 0, 0.0).is_empty());
}

#[test]
fn a_metric_that_is_not_a_number_is_the_worst_and_survives_a_checkpoint() {
    let mut callback = checkpoint(json!({"monitor": "val/loss"}));
    assert_eq!(epoch(&mut callback, 0, f64::NAN)[0].aliases, ["best", "last"]);
    let mut resumed = checkpoint(json!({"monitor": "val/loss"}));
    resumed.load_state_dict(&callback.state_dict()).unwrap();
    assert_eq!(epoch(&mut resumed, 1, 9.0)[0].replaces, ["epoch=0-step=1"]);
}

#[test]
fn before_the_first_validation_only_the_last_is_kept_and_the_best_follows_with_the_metric() {
    let mut callback = checkpoint(json!({"monitor": "val/loss", "every_n_train_steps": 2}));
    let mut first = CallbackHook::new([]);
    (first.state.global_step, first.state.total_batches, first.state.stepped) = (2, 2, true);
    callback.on_train_batch_end(&mut first.context()).unwrap();
    assert_eq!(first.requests.checkpoints[0].aliases, ["last"]);
    let mut second = hook(2, 1.0);
    second.stage = Stage::Validate;
    callback.on_validation_end(&mut second.context()).unwrap();
    assert_eq!(second.requests.checkpoints[0].aliases, ["best", "last"]);
}

#[test]
fn a_step_whose_validation_follows_at_once_waits_for_its_metric() {
    let mut callback = checkpoint(json!({"monitor": "val/loss", "every_n_train_steps": 1}));
    let mut stale = hook(4, 9.0);
    (stale.state.batch, stale.batches) = (4, 4);
    stale.config.val_check_interval = ValCheckInterval::Batches(2);
    callback.on_train_batch_end(&mut stale.context()).unwrap();
    assert!(stale.requests.checkpoints.is_empty());
    (stale.stage, stale.metrics) = (Stage::Validate, [("val/loss".to_owned(), 0.5)].into());
    callback.on_validation_end(&mut stale.context()).unwrap();
    assert_eq!(stale.requests.checkpoints[0].reason, "best val/loss 0.5000");
}

#[test]
fn a_step_is_saved_once() {
    let mut callback = checkpoint(json!({"every_n_train_steps": 2}));
    for (step, expected) in [(1, 0), (2, 1), (3, 0), (4, 1)] {
        let mut hook = hook(step, 1.0);
        callback.on_train_batch_end(&mut hook.context()).unwrap();
        callback.on_train_batch_end(&mut hook.context()).unwrap();
        callback.on_train_epoch_end(&mut hook.context()).unwrap();
        assert_eq!(hook.requests.checkpoints.len(), expected, "step {step}");
    }
}

#[test]
fn training_time_is_counted_from_the_last_look() {
    let mut callback = checkpoint(json!({"train_time_interval": {"minutes": 1}}));
    let saves: Vec<_> = [30_000, 60_000, 90_000, 120_000]
        .into_iter()
        .enumerate()
        .map(|(number, elapsed)| {
            let mut hook = hook(number as u64 + 1, 1.0);
            hook.state.elapsed_ms = elapsed;
            callback.on_train_batch_end(&mut hook.context()).unwrap();
            hook.requests.checkpoints.len()
        })
        .collect();
    assert_eq!(saves, [0, 1, 0, 1]);
}

#[test]
fn validations_are_looked_after_where_they_are_not_one_an_epoch() {
    let mut callback = checkpoint(json!({"monitor": "val/loss"}));
    let mut twice = hook(3, 1.0);
    (twice.config.val_check_interval, twice.stage) = (ValCheckInterval::Share(0.5), Stage::Validate);
    callback.on_validation_end(&mut twice.context()).unwrap();
    assert_eq!(twice.requests.checkpoints.len(), 1);
    let mut sanity = hook(9, 1.0);
    (sanity.stage, sanity.config.val_check_interval) = (Stage::SanityCheck, ValCheckInterval::Share(0.5));
    callback.on_validation_end(&mut sanity.context()).unwrap();
    assert!(sanity.requests.checkpoints.is_empty());
}

#[test]
fn a_name_that_is_taken_gets_a_version() {
    let folder = tempfile::tempdir().unwrap();
    let mut callback = checkpoint(json!({"filename": "same"}));
    let mut save = |steps| {
        let mut hook = hook(steps, 1.0);
        hook.folder = folder.path().to_path_buf();
        callback.on_train_epoch_end(&mut hook.context()).unwrap();
        let request = hook.requests.checkpoints.remove(0);
        std::fs::create_dir_all(checkpoint_folder(folder.path()).join(&request.name)).unwrap();
        (request.name, request.replaces)
    };
    // What is replaced lends its name.
    assert_eq!((save(1).0, save(2)), ("same".to_owned(), ("same".to_owned(), Vec::new())));
    let mut other = checkpoint(json!({"filename": "same"}));
    let mut third = hook(3, 1.0);
    third.folder = folder.path().to_path_buf();
    other.on_train_epoch_end(&mut third.context()).unwrap();
    assert_eq!(third.requests.checkpoints[0].name, "same-v1");
}

#[test]
fn a_run_that_fails_is_saved_where_that_is_asked_for() {
    let mut callback = checkpoint(json!({"save_on_exception": true}));
    let mut failing = hook(3, 1.0);
    callback.on_exception(&mut failing.context()).unwrap();
    assert_eq!(failing.requests.checkpoints[0].aliases, ["last"]);
    assert!(callback.saves_on_exception() && !checkpoint(json!({})).saves_on_exception());
}

#[test]
fn settings_that_shut_each_other_out_are_refused_by_name() {
    assert!(refusal(json!({"every_n_epochs": 1, "every_n_train_steps": 5})).contains("shut each other out"));
    assert!(refusal(json!({"save_top_k": 3})).contains("set monitor"));
    assert!(refusal(json!({"filename": "{epoch"})).contains('}'));
}
