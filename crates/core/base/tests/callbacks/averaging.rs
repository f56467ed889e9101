//! Averages of weights: what is validated, saved, left in the model, and gone on from.

use fulmen_base::checkpoint::Checkpoint;
use fulmen_contracts::Event;
use fulmen_torch::tch::{Kind, Tensor, no_grad};
use serde_json::{Value, json};

use crate::net::{Net, Run};

const NAMES: [&str; 4] = ["backbone.fc.weight", "backbone.norm.running_mean", "head.weight", "head.bias"];

fn close(a: &Tensor, b: &Tensor) -> bool {
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[]) < 1e-5
}

#[test]
fn the_model_ends_as_the_moving_average_of_all_steps() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path()).with("ema_weight_averaging", json!({"decay": 0.8}));
    let probe = run.probe.clone();
    let net = run.trained();
    let steps = probe.0.lock().unwrap();
    assert_eq!(steps.len(), 16);
    for name in NAMES {
        let mut average = steps[0].0[name].copy();
        for (weights, _) in &steps[1..] {
            average = average * 0.8 + &weights[name] * 0.2;
        }
        assert!(close(&net.copy(name), &average), "{name}");
        assert!(!close(&net.copy(name), &steps[15].0[name]), "{name}");
    }
}

#[test]
fn a_mean_is_that_of_all_steps_and_validation_is_of_the_average() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path()).with("weight_averaging", json!({})).epochs(1);
    let probe = run.probe.clone();
    let (outcome, net, events) = run.fit();
    outcome.unwrap();
    let steps = probe.0.lock().unwrap();
    let mean = |name: &str| {
        steps.iter().map(|(weights, _)| weights[name].copy()).reduce(|a, b| a + b).unwrap() / 4.0
    };
    assert!(NAMES.iter().all(|name| close(&net.copy(name), &mean(name))));
    let recorded = |events: &[Event]| {
        let mut losses = events.iter().filter_map(|event| match event {
            Event::Metrics { values, .. } => values.get("val/loss").copied(),
            _ => None,
        });
        losses.next_back().unwrap()
    };
    let (_, _, plain) = Run::new(folder.path()).epochs(1).fit();
    assert!((recorded(&events) - recorded(&plain)).abs() > 1e-6);
}

/// Straight through, and left after two epochs to go on from the last checkpoint.
fn both(callback: &'static str, settings: &Value) -> (Net, Net) {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let straight = Run::new(folders[0].path()).with(callback, settings.clone()).trained();
    let folder = folders[1].path();
    let save = json!({"save_last": true});
    Run::new(folder)
        .with(callback, settings.clone())
        .with("model_checkpoint", save.clone())
        .epochs(2)
        .trained();
    let resumed = Run::new(folder)
        .with(callback, settings.clone())
        .with("model_checkpoint", save)
        .resumed("last")
        .trained();
    (straight, resumed)
}

#[test]
fn averages_go_on_bit_for_bit() {
    for (callback, settings) in
        [("ema_weight_averaging", json!({"decay": 0.8})), ("weight_averaging", json!({"use_buffers": false}))]
    {
        let (straight, resumed) = both(callback, &settings);
        assert_eq!(straight.bits(), resumed.bits(), "{callback}");
    }
    let swa = json!({"swa_lrs": 0.01, "swa_epoch_start": 2, "annealing_epochs": 2});
    let (straight, resumed) = both("stochastic_weight_averaging", &swa);
    assert_eq!(straight.bits(), resumed.bits());
}

#[test]
fn a_checkpoint_holds_the_average_as_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let net = Run::new(folder.path())
        .with("ema_weight_averaging", json!({"decay": 0.8}))
        .with("model_checkpoint", json!({}))
        .trained();
    let saved = Checkpoint::open(&folder.path().join("checkpoints/last"), None).unwrap();
    assert!(saved.model().unwrap()["head.weight"].equal(&net.copy("head.weight")));
    let current = &saved.callbacks().unwrap()["ema_weight_averaging/current_model_state/head.weight"];
    assert!(!current.equal(&net.copy("head.weight")));
}

#[test]
fn stochastic_averages_are_of_epochs_and_statistics_are_counted_anew() {
    let folder = tempfile::tempdir().unwrap();
    let settings = json!({"swa_lrs": 0.01, "swa_epoch_start": 3, "annealing_epochs": 0});
    let run = Run::new(folder.path()).with("stochastic_weight_averaging", settings);
    let probe = run.probe.clone();
    let net = run.trained();
    let steps = probe.0.lock().unwrap();
    // From epoch 2, from 0, on: the weights at the beginning of epochs 2 and 3.
    for name in ["backbone.fc.weight", "backbone.norm.weight", "head.bias"] {
        let average = (&steps[7].0[name] + &steps[11].0[name]) / 2.0;
        assert!(close(&net.copy(name), &average), "{name}");
    }
    assert_eq!((steps[7].1[0], steps[8].1[0]), (0.05, 0.01));
    // torch.optim.swa_utils.update_bn: means over the batches, of two samples each, in order.
    let batches = crate::common::RecordingData::of(8).numbers();
    let address = fulmen_utils::Address::root(7).named("augment").at(0);
    let (mut means, mut variances) = (Vec::new(), Vec::new());
    for first in [0, 2, 4, 6] {
        let batch = batches.batch(&[first, first + 1], address).unwrap();
        let hidden = no_grad(|| batch.get("x").unwrap().apply(&net.first));
        means.push(hidden.mean_dim([0_i64].as_slice(), false, Kind::Float));
        variances.push(hidden.var_dim([0_i64].as_slice(), true, false));
    }
    let mean = |of: Vec<Tensor>| of.into_iter().reduce(|a, b| a + b).unwrap() / 4.0;
    assert!(close(&net.copy("backbone.norm.running_mean"), &mean(means)));
    assert!(close(&net.copy("backbone.norm.running_var"), &mean(variances)));
    let saved = Checkpoint::open(&folder.path().join("checkpoints/swa"), None).unwrap();
    assert!(
        saved.model().unwrap()["backbone.norm.running_var"].equal(&net.copy("backbone.norm.running_var"))
    );
}
