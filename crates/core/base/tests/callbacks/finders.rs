//! Finders: what they find is used, and nothing else of what they tried is left.

use fulmen_contracts::Event;
use serde_json::{Value, json};

use crate::net::Run;

fn adamw(lr: f64) -> Value {
    json!({"_target_": "adamw", "lr": lr})
}

#[test]
fn a_search_that_is_not_used_leaves_no_trace() {
    for optimizer in [json!({"_target_": "sgd", "lr": 0.05, "momentum": 0.9}), adamw(0.01)] {
        let folder = tempfile::tempdir().unwrap();
        let plain = |folder| {
            let mut run = Run::new(folder).with("model_checkpoint", json!({}));
            run.optimizer = optimizer.clone();
            run
        };
        let without = plain(folder.path()).trained();
        let finder = json!({"update_attr": false, "num_training_steps": 30});
        let with = plain(folder.path()).with("learning_rate_finder", finder).trained();
        assert_eq!(without.bits(), with.bits());
        let curve = std::fs::read_to_string(folder.path().join("learning_rate_finder.csv")).unwrap();
        assert!(curve.starts_with("lr,loss\n1e-8,") && curve.lines().count() > 12, "{curve}");
        assert!(folder.path().join("learning_rate_finder.svg").is_file());
    }
}

#[test]
fn the_rate_that_is_found_trains_as_the_same_rate_configured_and_survives_a_resume() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let scheduled = |folder| {
        let mut run = Run::new(folder).with("model_checkpoint", json!({}));
        run.optimizer = adamw(0.123);
        run.scheduler = Some(json!({"_target_": "step", "step_size": 2}));
        run
    };
    let finder = json!({"num_training_steps": 40, "early_stop_threshold": null});
    let (outcome, found, events) =
        scheduled(folders[0].path()).with("learning_rate_finder", finder.clone()).fit();
    let rate = outcome.unwrap().state.tuned.learning_rate.unwrap();
    let suggested = events.iter().find_map(|event| match event {
        Event::Metrics { values, .. } => values.get("learning_rate_finder/suggestion").copied(),
        _ => None,
    });
    assert_eq!(suggested, Some(rate));
    assert!(rate > 1e-8 && rate < 1.0);
    let mut configured = scheduled(folders[1].path());
    configured.optimizer = adamw(rate);
    assert_eq!(configured.trained().bits(), found.bits());
    let folder = folders[2].path();
    scheduled(folder).with("learning_rate_finder", finder.clone()).epochs(2).trained();
    let resumed = scheduled(folder).with("learning_rate_finder", finder).resumed("last").trained();
    assert_eq!(resumed.bits(), found.bits());
}

#[test]
fn the_batch_size_that_is_found_trains_as_the_same_size_configured_and_survives_a_resume() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let scheduled = |folder, batch_size| {
        let mut run = Run::new(folder).with("model_checkpoint", json!({}));
        run.scheduler = Some(json!({"_target_": "one_cycle"}));
        (run.batch_size, run.samples) = (batch_size, 16);
        run
    };
    let finder = json!({"max_val": 4, "steps_per_trial": 2});
    let (outcome, found, _) = scheduled(folders[0].path(), 2).with("batch_size_finder", finder.clone()).fit();
    let state = outcome.unwrap().state;
    assert_eq!((state.tuned.batch_size.map(usize::from), state.global_step), (Some(4), 16));
    assert_eq!(scheduled(folders[1].path(), 4).trained().bits(), found.bits());
    let folder = folders[2].path();
    // The schedule is as long as the run: left within it, not ended early.
    let mut first = scheduled(folder, 2).with("batch_size_finder", finder.clone());
    first.callbacks[0].1 = json!({
        "_target_": "model_checkpoint",
        "every_n_train_steps": 6,
        "filename": "left",
        "save_last": false,
        "save_top_k": -1,
    });
    first.trained();
    let resumed = scheduled(folder, 2).with("batch_size_finder", finder).resumed("left").trained();
    assert_eq!(resumed.bits(), found.bits());
}

#[test]
fn a_memory_limit_bounds_the_batch_and_the_kernels_killer_never_comes_near() {
    let folder = tempfile::tempdir().unwrap();
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    let mut run = Run::new(folder.path()).epochs(1).set("limit_train_batches", json!(1));
    (run.samples, run.net.bytes_a_sample) = (4096, 8 << 20);
    // Room for some fifty samples of 8 MiB beside what other tests take meanwhile.
    let limit = resident() + (400 << 20);
    let (outcome, _, _) =
        run.with("batch_size_finder", json!({"memory_limit": limit, "steps_per_trial": 1})).fit();
    let found = outcome.unwrap().state.tuned.batch_size.unwrap().get();
    assert!((8..64).contains(&found), "{found}");
}
