//! Runs that are stopped and go on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Finished, Sandbox, text};

/// Two epochs with shuffling, dropout and loader threads: all that could differ after a stop.
const RUN: [&str; 8] = [
    "model=convnet",
    "trainer.max_epochs=2",
    "trainer.num_threads=1",
    "trainer.log_every_n_steps=1",
    "dataloader.batch_size=8",
    "dataloader.num_workers=2",
    "scheduler=cosine",
    "seed=11",
];

fn arguments<'a>(first: &[&'a str]) -> Vec<&'a str> {
    first.iter().chain(&RUN).copied().collect()
}

fn weights(result: &Value, checkpoint: &str) -> Vec<u8> {
    let folder = Path::new(text(result, "/folder")).join("artifacts/checkpoints").join(checkpoint);
    fs::read(folder.join("model.safetensors")).unwrap()
}

#[test]
fn ctrl_c_saves_and_the_resumed_run_ends_with_the_same_bits_as_one_that_never_stopped() {
    let sandbox = Sandbox::new();
    let whole = sandbox.run(&arguments(&["train", "--json"])).succeeded().result();

    let mut child = sandbox.start(&arguments(&["train", "--json"]));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // In the middle of the first epoch: some steps are done, none of its ends is near.
    let stepped = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["event"] == "metrics" && event["step"].as_u64() >= Some(5)
    };
    assert!(lines.by_ref().map_while(Result::ok).any(|line| stepped(&line)));
    // Twice at once, as `timeout` does it: to the process and to its group.
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let last = lines.map_while(Result::ok).last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let stopped: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(text(&stopped, "/outcome/status"), "interrupted", "{stopped:#}");
    let id = text(&stopped, "/run_id");
    let shown = sandbox.run(&["runs", "show", id, "--json"]).succeeded().result();
    assert_eq!(text(&shown, "/info/status"), "KILLED");

    let resume = format!("resume={id}");
    let resumed = sandbox.run(&["train", "--json", &resume]).succeeded().result();
    assert_eq!(text(&resumed, "/run_id"), id);
    assert_eq!(text(&resumed, "/outcome/status"), "completed");
    assert!(weights(&resumed, "last") == weights(&whole, "last"), "the weights differ");
    assert_eq!(resumed["metrics"]["test/accuracy"], whole["metrics"]["test/accuracy"]);
    let shown = sandbox.run(&["runs", "show", id, "--json"]).succeeded().result();
    assert_eq!(text(&shown, "/info/status"), "FINISHED");
}

#[test]
fn a_finished_run_can_be_made_longer() {
    let sandbox = Sandbox::new();
    let result = sandbox.train(&["model=mlp"]);
    let resume = format!("resume={}", text(&result, "/run_id"));
    let longer = sandbox.run(&["train", "--json", &resume, "trainer.max_epochs=3"]).succeeded();
    let epochs = longer
        .lines()
        .iter()
        .filter(|event| event["event"] == "stage_started" && event["stage"] == "train")
        .count();
    assert_eq!(epochs, 2, "the first epoch was done already");
}

#[test]
fn a_worker_that_is_killed_is_reported_and_its_run_can_go_on() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start(&arguments(&[
        "train",
        "--json",
        "trainer.max_epochs=40",
        "callbacks.model_checkpoint.every_n_train_steps=3",
    ]));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("\"event\":\"checkpoint\"")));
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let worker = children.split_whitespace().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    let last: Value = serde_json::from_str(&lines.map_while(Result::ok).last().unwrap()).unwrap();
    let finished = Finished::of(child.wait_with_output().unwrap());
    assert_eq!(finished.code, 1, "{finished:#?}");
    assert!(text(&last, "/outcome/message").contains("signal 9"), "{last:#}");
    let resume = format!("resume={}", text(&last, "/run_id"));
    sandbox.run(&["train", "--json", &resume, "trainer.max_epochs=1"]).succeeded();
}

#[test]
fn a_run_whose_manager_was_killed_too_loses_nothing_that_was_measured() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start(&arguments(&["train", "--json", "mlflow.run_name=lost"]));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let step = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["event"] == "metrics" { event["step"].as_u64() } else { None }
    };
    let seen =
        lines.by_ref().map_while(Result::ok).filter_map(|line| step(&line)).find(|step| *step >= 5).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // The worker notices that nobody listens, saves and ends; until then the journal is whole anyway.
    sandbox.run(&["sync"]).succeeded();
    let shown = sandbox.run(&["runs", "show", "lost", "--json"]).succeeded().result();
    let metrics = shown["data"]["metrics"].as_array().unwrap();
    let loss = metrics.iter().find(|metric| metric["key"] == "train/loss_step").unwrap();
    assert!(loss["step"].as_u64().unwrap() >= seen, "{loss} is older than what was seen at {seen}");
    assert!(sandbox.run(&["sync"]).succeeded().stderr.contains("nothing is left behind"));
}
