//! Schedules of fine-tuning and of accumulation, and what the summary tells.

use fulmen_contracts::Event;
use serde_json::json;

use crate::net::Run;

#[test]
fn a_backbone_is_left_alone_and_then_trained_at_a_rate_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        json!({"unfreeze_backbone_at_epoch": 2, "backbone_initial_ratio_lr": 0.4, "train_bn": false});
    let run = Run::new(folder.path()).with("backbone_finetuning", settings).epochs(5);
    let probe = run.probe.clone();
    run.trained();
    let steps = probe.0.lock().unwrap();
    let changed = |name: &str, from: usize, to: usize| !steps[from].0[name].equal(&steps[to].0[name]);
    // Four batches an epoch.
    assert!(!changed("backbone.fc.weight", 0, 7) && changed("head.weight", 0, 7));
    assert!(changed("backbone.fc.weight", 7, 8) && !changed("backbone.norm.weight", 0, 19));
    let rates: Vec<_> = [8, 12, 16].map(|step| steps[step].1[1]).into();
    // A share of the rest's rate, twice as much, and no more than the rest's.
    assert_eq!(rates, [0.05 * 0.4, 0.05 * 0.4 * 2.0, 0.05]);
}

#[test]
fn fine_tuning_goes_on_bit_for_bit() {
    let settings = json!({"unfreeze_backbone_at_epoch": 1});
    let run = |folder| {
        let mut run = Run::new(folder)
            .with("backbone_finetuning", settings.clone())
            .with("model_checkpoint", json!({}));
        run.scheduler = Some(json!({"_target_": "step", "step_size": 1, "gamma": 0.5}));
        run
    };
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let straight = run(folders[0].path()).trained();
    for epochs in [1, 2, 3] {
        run(folders[1].path()).epochs(epochs).trained();
        let resumed = run(folders[1].path()).resumed("last").trained();
        assert_eq!(straight.bits(), resumed.bits(), "{epochs}");
    }
}

#[test]
fn epochs_accumulate_as_they_are_scheduled() {
    let folder = tempfile::tempdir().unwrap();
    let settings = json!({"scheduling": {"1": 2, "3": 4}});
    let (outcome, _, _) = Run::new(folder.path()).with("gradient_accumulation_scheduler", settings).fit();
    // Four batches an epoch: 4, 2, 2 and 1 steps.
    assert_eq!(outcome.unwrap().state.global_step, 9);
}

#[test]
fn a_schedule_over_the_run_counts_the_steps_that_accumulation_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path());
    let probe = run.probe.clone();
    let mut run =
        run.with("gradient_accumulation_scheduler", json!({"scheduling": {"1": 2, "3": 4}})).epochs(4);
    run.scheduler = Some(json!({"_target_": "cosine"}));
    run.trained();
    let rates = probe.0.lock().unwrap();
    let last = rates.last().unwrap().1[0];
    // After the last of nine steps the half wave is at its end.
    assert!(last.abs() < 1e-12, "{last}");
    // After the fifth of nine, the sixth batch, it is past its middle.
    assert!(rates[5].1[0] < 0.025 && rates[5].1[0] > 0.015, "{:?}", rates[5].1);
}

#[test]
fn a_summary_names_parts_shapes_and_operations_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Run::new(folder.path()).trained();
    let (_, net, events) = Run::new(folder.path()).with("model_summary", json!({"max_depth": 2})).fit();
    assert_eq!(plain.bits(), net.bits());
    let summary = events.iter().find_map(|event| match event {
        Event::ModelSummary { trainable, frozen, flops, parts, .. } => {
            Some((*trainable, *frozen, *flops, parts))
        }
        _ => None,
    });
    let (trainable, frozen, flops, parts) = summary.unwrap();
    assert_eq!((trainable, frozen, flops), (3 * 4 + 4 + 8 + 5, 8, Some(2 * 12 + 2 * 4)));
    assert_eq!(
        parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(),
        ["backbone.fc", "backbone.norm", "head"]
    );
    assert_eq!(
        (parts[0].input.as_deref(), parts[0].output.as_deref()),
        (Some([1, 3].as_slice()), Some([1, 4].as_slice()))
    );
    assert_eq!((parts[0].flops, parts[1].flops, parts[2].flops), (Some(24), Some(0), Some(8)));
}
