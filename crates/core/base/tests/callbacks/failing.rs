//! Runs that fail, or nearly: what is saved of them, and that they go on from there as if nothing had been.

use fulmen_base::{Callback, Error, HookContext, Result};
use serde_json::json;

use crate::net::Run;

/// Windows of three batches over six: a failure in the fifth batch lies within one.
fn run(folder: &std::path::Path) -> Run<'_> {
    let mut run = Run::new(folder).set("accumulate_grad_batches", json!(3));
    run.samples = 12;
    run.with("on_exception_checkpoint", json!({}))
}

#[test]
fn a_run_whose_step_fails_within_a_window_goes_on_from_the_batch_before() {
    for fails_at in [(1, 4), (0, 0), (2, 3)] {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let straight = run(folders[0].path()).trained();
        let folder = folders[1].path();
        let mut failing = run(folder);
        failing.net.fails_at = Some(fails_at);
        let (outcome, _, _) = failing.fit();
        assert!(outcome.unwrap_err().to_string().contains("on purpose"));
        let resumed = run(folder).resumed("last").trained();
        assert_eq!(straight.bits(), resumed.bits(), "{fails_at:?}");
        // Brought to its end: what was saved of the failure is gone, and the name that pointed to it.
        assert!(
            !folder.join("checkpoints/on_exception").exists() && !folder.join("checkpoints/last").exists()
        );
    }
}

/// Fails once.
#[derive(Debug)]
struct Fails {
    hook: &'static str,
    at: u64,
}

impl Fails {
    fn check(&self, hook: &str, context: &HookContext<'_>) -> Result<()> {
        if hook == self.hook && context.state.total_batches == self.at {
            return Err(Error::Torch("on purpose".into()));
        }
        Ok(())
    }
}

impl Callback for Fails {
    fn on_train_batch_start(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.check("on_train_batch_start", context)
    }

    fn on_after_backward(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.check("on_after_backward", context)
    }

    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.check("on_train_batch_end", context)
    }

    fn on_validation_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.check("on_validation_batch_end", context)
    }
}

#[test]
fn a_run_whose_hook_fails_goes_on_with_the_same_bits() {
    for (hook, at) in [
        ("on_train_batch_start", 7),
        ("on_after_backward", 7),
        ("on_train_batch_end", 7),
        ("on_validation_batch_end", 12),
    ] {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let straight = run(folders[0].path()).trained();
        let folder = folders[1].path();
        let mut failing = run(folder);
        failing.failing_hook = Some(Box::new(Fails { hook, at }));
        let (outcome, _, _) = failing.fit();
        assert!(outcome.unwrap_err().to_string().contains(hook), "{hook}");
        let resumed = run(folder).resumed("on_exception").trained();
        assert_eq!(straight.bits(), resumed.bits(), "{hook}");
    }
}

#[test]
fn a_leap_is_left_out_and_training_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path()).with("spike_detection", json!({"skip_step": true, "rtol": 100.0}));
    run.net.leaps_at = Some((1, 2));
    let probe = run.probe.clone();
    run.trained();
    let steps = probe.0.lock().unwrap();
    let weights = |step: usize| &steps[step].0["head.weight"];
    // Batch 2 of epoch 1 is the seventh of all.
    assert!(weights(6).equal(weights(5)) && !weights(7).equal(weights(6)));
    let named = std::fs::read_to_string(folder.path().join("skip_batches.json")).unwrap();
    assert_eq!(named, "[1,2]");
}

#[test]
fn a_leap_ends_the_run_where_it_is_not_to_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path()).with("spike_detection", json!({"rtol": 100.0}));
    run.net.leaps_at = Some((1, 2));
    let (outcome, _, _) = run.fit();
    assert!(outcome.unwrap_err().to_string().contains("in batch 2 of epoch 1"));
}
