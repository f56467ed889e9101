//! A run that is killed at any moment, by any signal, and resumed, ends with the same bits as one that was never stopped:
//! weights, optimizer, everything else that a checkpoint keeps, and every value that was logged, each once.
//!
//! `FULMEN_RESUME_POINTS=200` makes the test longer (`make soak`), `FULMEN_RESUME_SEED=…` takes other points.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use fulmen_tracking::HistoryQuery;
use fulmen_utils::Address;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{Finished, Sandbox, text};

/// Everything that could differ after a stop: shuffling, loader threads, augmentation, dropout, windows of accumulation that
/// do not divide an epoch, a schedule, validation within an epoch and within a window, a callback with a stream of its own, averaged weights.
const RUN: [&str; 21] = [
    "model=mlp",
    "model.hidden=[24]",
    "model.dropout=0.2",
    "dataset.augmentations=[{_target_: vision.random_rotation, degrees: 15}]",
    "dataloader.batch_size=16",
    "dataloader.num_workers=4",
    "scheduler=cosine",
    "scheduler.warmup_steps=3",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=18",
    "trainer.limit_val_batches=3",
    "trainer.limit_test_batches=3",
    "trainer.val_check_interval=7",
    "trainer.accumulate_grad_batches=4",
    "trainer.gradient_clip_val=1.0",
    "trainer.log_every_n_steps=1",
    "trainer.num_threads=1",
    "seed=11",
    "+callbacks.save_anywhere={_target_: test.save_anywhere, every_n_batches: 3}",
    "+callbacks.noise={_target_: test.noise}",
    "+callbacks.average={_target_: ema_weight_averaging, decay: 0.9}",
];

/// What a run is at its end.
#[derive(Debug, PartialEq)]
struct End {
    model: Vec<u8>,
    optimizer: Vec<u8>,
    /// Everything but the configuration, which names the run, and what the clock says.
    state: Value,
    /// Key, step and the value's bits, sorted.
    logged: Vec<(String, i64, u64)>,
    /// The run's own record, without the time.
    record: Vec<Value>,
}

struct Runs {
    sandbox: Sandbox,
    worker: PathBuf,
}

impl Runs {
    fn new() -> Self {
        let worker = Path::new(env!("CARGO_BIN_EXE_fulmen")).with_file_name("examples").join("resume_worker");
        assert!(worker.is_file(), "these tests need {}: run them with `make test`", worker.display());
        Self { sandbox: Sandbox::new(), worker }
    }

    fn arguments(&self, name: &str, overrides: &[&str]) -> Vec<String> {
        let name = format!("mlflow.run_name={name}");
        let arguments = ["train", "--json", &name];
        arguments.iter().chain(&RUN).chain(overrides).map(|&argument| argument.to_owned()).collect()
    }

    fn command(&self, arguments: &[String]) -> Command {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = self.sandbox.command(&arguments);
        command.env("FULMEN_WORKER", &self.worker).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self, name: &str, overrides: &[&str]) -> Child {
        self.command(&self.arguments(name, overrides)).spawn().unwrap()
    }

    fn resume(&self, name: &str, overrides: &[&str]) -> Child {
        let name = format!("resume={name}");
        let arguments = ["train", "--json", &name];
        let arguments: Vec<_> =
            arguments.iter().chain(overrides).map(|&argument| argument.to_owned()).collect();
        self.command(&arguments).spawn().unwrap()
    }

    fn finish(child: Child) -> Value {
        Finished::of(child.wait_with_output().unwrap()).succeeded().result()
    }

    /// What the run that gave `result` is.
    fn end(&self, result: &Value) -> End {
        self.end_in(&Path::new(text(result, "/folder")).join("artifacts"), result)
    }

    /// The same of a run that is encrypted.
    fn end_decrypted(&self, result: &Value) -> End {
        let copy = tempfile::tempdir().unwrap();
        let output = copy.path().to_str().unwrap();
        self.sandbox
            .run(&["artifacts", "get", text(result, "/run_id"), "--output", output, self.key().as_str()])
            .succeeded();
        self.end_in(copy.path(), result)
    }

    /// Says where the master key is.
    fn key(&self) -> String {
        format!("encryption.master_key=file:{}", self.sandbox.path().join("master.key").display())
    }

    fn end_in(&self, artifacts: &Path, result: &Value) -> End {
        let checkpoint = artifacts.join("checkpoints/final");
        let mut state: Value =
            serde_json::from_slice(&fs::read(checkpoint.join("state.json")).unwrap()).unwrap();
        state.as_object_mut().unwrap().remove("config");
        for of_the_clock in ["elapsed_ms", "validated_at_ms"] {
            state["trainer"].as_object_mut().unwrap().remove(of_the_clock);
        }
        // The length of a file that holds times of day; what else it holds is compared below.
        state.as_object_mut().unwrap().remove("recorded");
        let record = fs::read_to_string(artifacts.join("metrics.jsonl")).unwrap();
        let record = record.lines().map(|line| {
            let mut event: Value = serde_json::from_str(line).unwrap();
            event.as_object_mut().unwrap().remove("time_ms");
            event
        });
        End {
            model: fs::read(checkpoint.join("model.safetensors")).unwrap(),
            optimizer: fs::read(checkpoint.join("optimizer.safetensors")).unwrap(),
            state,
            logged: self.logged(text(result, "/run_id")),
            record: record.collect(),
        }
    }

    fn logged(&self, id: &str) -> Vec<(String, i64, u64)> {
        let uri = format!("sqlite:///{}", self.sandbox.path().join("runs/fulmen.db").display());
        let store = fulmen_tracking::open(&uri).unwrap();
        let run = store.run(id).unwrap();
        let mut logged = Vec::new();
        for metric in &run.data.metrics {
            let query =
                HistoryQuery { run_id: id.to_owned(), key: metric.key.clone(), ..HistoryQuery::default() };
            let page = store.metric_history(&query).unwrap();
            logged.extend(page.items.into_iter().map(|point| (point.key, point.step, point.value.to_bits())));
        }
        logged.sort();
        logged
    }

    fn checkpoints(result: &Value) -> PathBuf {
        Path::new(text(result, "/folder")).join("artifacts/checkpoints")
    }
}

/// Who is killed, and how.
#[derive(Debug, Clone, Copy)]
enum Kill {
    Worker(Signal),
    Manager(Signal),
    Both,
}

const KILLS: [Kill; 9] = [
    Kill::Worker(Signal::KILL),
    Kill::Worker(Signal::SEGV),
    Kill::Worker(Signal::ABORT),
    Kill::Worker(Signal::TERM),
    Kill::Worker(Signal::INT),
    Kill::Manager(Signal::KILL),
    Kill::Manager(Signal::TERM),
    Kill::Manager(Signal::INT),
    Kill::Both,
];

impl Kill {
    /// Carries it out. Whoever has ended already is not there to be killed.
    fn strike(self, manager: &Child) {
        let process = Pid::from_child(manager);
        let children = format!("/proc/{0}/task/{0}/children", manager.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        let worker = children.split_whitespace().next().and_then(|id| Pid::from_raw(id.parse().unwrap()));
        let (to_manager, to_worker) = match self {
            Self::Worker(signal) => (None, Some(signal)),
            Self::Manager(signal) => (Some(signal), None),
            Self::Both => (Some(Signal::KILL), Some(Signal::KILL)),
        };
        if let Some(signal) = to_manager {
            let _ = kill_process(process, signal);
        }
        if let (Some(worker), Some(signal)) = (worker, to_worker) {
            let _ = kill_process(worker, signal);
        }
    }
}

/// Lets a run go on until it has said `lines` lines and `pause` more, then kills it.
fn kill_after(mut child: Child, lines: usize, pause: Duration, kill: Kill) {
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    out.by_ref().map_while(Result::ok).take(lines).for_each(drop);
    thread::sleep(pause);
    kill.strike(&child);
    // Read on: nobody shall wait for a pipe that is full.
    out.map_while(Result::ok).for_each(drop);
    child.wait_with_output().unwrap();
}

#[expect(clippy::print_stderr, reason = "whoever runs a long test is to see how far it is")]
fn tell(line: &str) {
    eprintln!("{line}");
}

#[test]
fn a_run_killed_at_any_point_and_resumed_is_the_run_that_was_never_stopped() {
    let of = |name: &str, default: u64| env::var(name).map_or(default, |text| text.parse().unwrap());
    let (points, seed) = (of("FULMEN_RESUME_POINTS", 20), of("FULMEN_RESUME_SEED", 1));
    let runs = Runs::new();
    let output = runs.start("whole", &[]).wait_with_output().unwrap();
    let finished = Finished::of(output).succeeded();
    let (said, result) = (finished.stdout.lines().count(), finished.result());
    let whole = runs.end(&result);
    assert!(whole.logged.len() > 20, "{:?}", whole.logged);
    tell(&format!("{points} points of seed {seed}; the whole run says {said} lines"));
    for point in 0..points {
        let mut draws = Address::root(seed).named("kill").at(point).draws();
        let mut draw = |below: usize| (draws.uniform() * below as f64) as usize;
        let name = format!("killed-{point}");
        let mut kills = Vec::new();
        let mut child = runs.start(&name, &[]);
        // One in three is killed a second time, in its second life.
        for _ in 0..if draw(3) == 0 { 2 } else { 1 } {
            let (lines, pause, kill) = (1 + draw(said - 1), draw(25) as u64, KILLS[draw(KILLS.len())]);
            kills.push(format!("{kill:?} {pause} ms after line {lines}"));
            kill_after(child, lines, Duration::from_millis(pause), kill);
            child = runs.resume(&name, &[]);
        }
        let what = format!("point {}/{points}: {}", point + 1, kills.join(", then "));
        tell(&what);
        assert_same(&runs.end(&Runs::finish(child)), &whole, &what);
    }
}

/// Files below `folder` that are not encrypted, also those of a save that was killed.
pub fn in_clear(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(in_clear(&path));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            // A save that was killed may not have written anything yet.
            found.extend((!bytes.is_empty() && !bytes.starts_with(b"age-encryption.org/v1")).then_some(path));
        }
    }
    found
}

#[test]
fn an_encrypted_run_goes_on_to_the_same_bits_with_its_key_alone_and_no_checkpoint_of_it_is_ever_in_clear() {
    let runs = Runs::new();
    let whole = runs.end(&Runs::finish(runs.start("plain", &[])));
    let (key, on) = (runs.key(), "encryption.artifacts=true");
    let without = runs.command(&runs.arguments("no-key", &[on])).output().unwrap();
    Finished::of(without).refused(&["encryption.master_key"]);
    runs.sandbox.run(&["keys", "generate", &key]).succeeded();
    let (master, other) = (runs.sandbox.path().join("master.key"), runs.sandbox.path().join("other.key"));
    runs.sandbox.run(&["keys", "generate", "--output", other.to_str().unwrap()]).succeeded();

    for (index, kill) in
        [Kill::Both, Kill::Worker(Signal::KILL), Kill::Manager(Signal::KILL), Kill::Manager(Signal::INT)]
            .into_iter()
            .enumerate()
    {
        let name = format!("killed-{index}");
        kill_after(runs.start(&name, &[on, &key]), 30, Duration::from_millis(5), kill);
        let shown = runs.sandbox.run(&["runs", "show", &name, "--json"]).succeeded().result();
        let artifacts = PathBuf::from(text(&shown, "/info/artifact_uri").trim_start_matches("file://"));
        // A worker whose manager was killed may be about to save; its lock goes with it.
        fs::File::options()
            .read(true)
            .write(true)
            .open(artifacts.join("metrics.jsonl"))
            .unwrap()
            .lock()
            .unwrap();
        let checkpoints = artifacts.join("checkpoints");
        assert!(checkpoints.join("last").exists(), "it has saved something by now");
        assert_eq!(in_clear(&checkpoints), Vec::<PathBuf>::new(), "{kill:?}");

        let resume = || Finished::of(runs.resume(&name, &[]).wait_with_output().unwrap());
        let kept = fs::read(&master).unwrap();
        fs::remove_file(&master).unwrap();
        resume().refused(&["master.key"]);
        fs::copy(&other, &master).unwrap();
        resume().refused(&["keyring.age: none of the keys at hand opens it"]);
        fs::write(&master, kept).unwrap();
        let state = fs::canonicalize(checkpoints.join("last")).unwrap().join("model.safetensors");
        let bytes = fs::read(&state).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 4;
        fs::write(&state, changed).unwrap();
        resume().refused(&["model.safetensors: the content was changed"]);
        fs::write(&state, bytes).unwrap();
        let plain = runs.resume(&name, &["encryption.artifacts=false"]).wait_with_output().unwrap();
        Finished::of(plain).refused(&["was begun with encryption.artifacts=true"]);

        let result = Runs::finish(runs.resume(&name, &[]));
        assert_same(&runs.end_decrypted(&result), &whole, &format!("{kill:?}"));
        assert_eq!(in_clear(&artifacts), Vec::<PathBuf>::new(), "{kill:?}: when it has ended");
    }
}

/// As `assert_eq`, and says what differs rather than all of it.
#[track_caller]
fn assert_same(resumed: &End, whole: &End, what: &str) {
    assert_eq!(resumed.logged, whole.logged, "{what}: what was logged");
    assert_eq!(resumed.record, whole.record, "{what}: the run's record");
    assert_eq!(resumed.state, whole.state, "{what}: the state");
    assert!(resumed.model == whole.model, "{what}: the weights differ");
    assert!(resumed.optimizer == whole.optimizer, "{what}: the optimizer's state differs");
}

/// The only checkpoint before the end is the one after six batches, two into a window.
const UNTIL_SIX: &str = "++callbacks.save_anywhere.until=6";

/// Runs for eight batches, dies, has its checkpoint `hurt`, and goes on.
fn hurt_and_resumed(runs: &Runs, name: &str, noise: &str, hurt: impl FnOnce(&Path)) -> End {
    let arguments = runs.arguments(name, &["~callbacks.model_checkpoint", UNTIL_SIX, noise]);
    let killed = runs.command(&arguments).env("FULMEN_TEST_DIE_AFTER", "8").output().unwrap();
    assert_eq!(Finished::of(killed).code, 1);
    let shown = runs.sandbox.run(&["runs", "show", name, "--json"]).succeeded().result();
    let folder = PathBuf::from(text(&shown, "/info/artifact_uri").trim_start_matches("file://"));
    let checkpoint = folder.join("checkpoints/batches=6");
    let state: Value = serde_json::from_slice(&fs::read(checkpoint.join("state.json")).unwrap()).unwrap();
    assert_eq!((&state["trainer"]["window"], &state["trainer"]["batch"]), (&json!(2), &json!(6)));
    hurt(&checkpoint);
    runs.end(&Runs::finish(runs.resume(name, &[])))
}

type Hurt<'a> = &'a dyn Fn(&Path);

/// Changes a file's text and puts its new digest into the manifest.
fn rewrite(checkpoint: &Path, name: &str, change: &dyn Fn(&mut Value)) {
    let path = checkpoint.join(name);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    let text = serde_json::to_vec(&value).unwrap();
    fs::write(&path, &text).unwrap();
    let digest = json!({"bytes": text.len(), "blake3": blake3::hash(&text).to_hex().as_str()});
    if name != "manifest.json" {
        rewrite(checkpoint, "manifest.json", &|manifest| manifest["files"][name] = digest.clone());
    }
}

#[test]
fn a_checkpoint_that_lacks_anything_is_caught_by_the_same_comparison() {
    let runs = Runs::new();
    let (kept, left_out) = ("callbacks.noise.is_left_out=false", "++callbacks.noise.is_left_out=true");
    let whole = runs.end(&Runs::finish(runs.start("whole", &["~callbacks.model_checkpoint", UNTIL_SIX])));
    let kept = &format!("++{kept}");
    // Nothing is hurt: the same. Without this, the rest would prove nothing.
    assert_same(&hurt_and_resumed(&runs, "unhurt", kept, |_| {}), &whole, "unhurt");
    let off_by_one = |checkpoint: &Path| {
        rewrite(checkpoint, "state.json", &|state| state["trainer"]["batch"] = json!(7));
    };
    let without_gradients = |checkpoint: &Path| {
        fs::remove_file(checkpoint.join("gradients.safetensors")).unwrap();
        rewrite(checkpoint, "manifest.json", &|manifest| {
            assert!(manifest["files"].as_object_mut().unwrap().remove("gradients.safetensors").is_some());
        });
    };
    let hurts: [(&str, &str, Hurt<'_>); 3] = [
        ("sampler-off-by-one", kept, &off_by_one),
        ("window-dropped", kept, &without_gradients),
        ("stream-left-out", left_out, &|_| {}),
    ];
    for (name, noise, hurt) in hurts {
        let end = hurt_and_resumed(&runs, name, noise, hurt);
        assert!(end.model != whole.model, "{name}: the weights do not show it");
        assert!(end.logged != whole.logged, "{name}: what was logged does not show it");
    }
}

#[test]
fn out_of_memory_is_an_end_like_any_other() {
    let runs = Runs::new();
    let whole = runs.end(&Runs::finish(runs.start("whole", &[])));
    let mut child = runs.start("starved", &[]);
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(out.by_ref().map_while(Result::ok).any(|line| line.contains("batches=6")));
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let worker = Pid::from_raw(children.split_whitespace().next().unwrap().parse().unwrap());
    // From now on there is no memory for anything new.
    let nothing = rustix::process::Rlimit { current: Some(1 << 20), maximum: Some(1 << 20) };
    rustix::process::prlimit(worker, rustix::process::Resource::As, nothing).unwrap();
    let last: Value = serde_json::from_str(&out.map_while(Result::ok).last().unwrap()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(1), "{last:#}");
    assert_same(&runs.end(&Runs::finish(runs.resume("starved", &[]))), &whole, "out of memory");
}

#[test]
fn another_number_of_threads_is_told_and_another_number_of_loader_threads_is_not() {
    let runs = Runs::new();
    let stop = |name: &str| {
        let child = runs.start(name, &[]);
        kill_after(child, 12, Duration::ZERO, Kill::Manager(Signal::INT));
    };
    let told = |name: &str, override_: &str| {
        stop(name);
        let resumed = runs.resume(name, &[override_]).wait_with_output().unwrap();
        Finished::of(resumed).succeeded().stdout
    };
    let told_of_threads = told("threads", "trainer.num_threads=2");
    assert!(
        told_of_threads.contains("threads is 2 and was 1 when the checkpoint was saved"),
        "{told_of_threads}"
    );
    let told_of_loaders = told("loaders", "dataloader.num_workers=1");
    assert!(!told_of_loaders.contains("when the checkpoint was saved"), "{told_of_loaders}");
}

#[test]
fn repeated_interrupts_leave_one_checkpoint_and_a_finished_run_none() {
    let runs = Runs::new();
    let mut child = runs.start("often", &["++callbacks.save_anywhere.until=0"]);
    for _ in 0..3 {
        kill_after(child, 9, Duration::ZERO, Kill::Manager(Signal::INT));
        child = runs.resume("often", &[]);
    }
    let result = Runs::finish(child);
    let mut names: Vec<_> = fs::read_dir(Runs::checkpoints(&result))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.iter().all(|name| !name.starts_with('.') && name != "interrupted"), "{names:?}");
    assert!(names.contains(&"final".to_owned()) && names.len() <= 5, "{names:?}");
}
