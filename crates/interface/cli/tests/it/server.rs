//! `fulmen server` as a process: what it says, how it ends, what is left when it is killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::http::{Client, text};

pub struct Process {
    child: Child,
    pub address: SocketAddr,
    told: Vec<String>,
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fulmen"));
    command.arg("server").args(arguments).current_dir(folder).env("NO_COLOR", "1");
    for (name, _) in std::env::vars() {
        if name.starts_with("MLFLOW_") || name.starts_with("FULMEN_CONFIG") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

impl Process {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child =
            command(folder, arguments).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut told = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().take(4) {
            told.push(line.unwrap());
        }
        let address = told[0]
            .strip_prefix("listening on http://")
            .unwrap_or_else(|| panic!("{told:?}"))
            .parse()
            .unwrap();
        Self { child, address, told }
    }

    fn signal(&mut self, signal: Signal) -> std::process::ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_serves_the_store_of_the_configuration_and_ends_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(folder.path(), &["--port", "0"]);
    assert!(server.address.ip().is_loopback());
    assert!(server.told[1].ends_with("sqlite:///runs/fulmen.db"), "{:?}", server.told);
    assert!(server.told[2].ends_with("runs/mlartifacts"), "{:?}", server.told);
    let experiment = Client::new(server.address).get("experiments/get?experiment_id=0").ok();
    assert_eq!(text(&experiment, "/experiment/artifact_location"), "mlflow-artifacts:/0");
    // A connection that stays open does not keep the server.
    let _idle = Client::new(server.address);
    let before = std::time::Instant::now();
    assert!(server.signal(Signal::TERM).success());
    assert!(before.elapsed() < Duration::from_secs(9));
    assert!(folder.path().join("runs/fulmen.db").is_file());
}

#[test]
fn flags_and_variables_are_those_of_mlflow() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("shared").display().to_string();
    let flags = [
        "--port",
        "0",
        "--backend-store-uri",
        "sqlite:///x.db",
        "--no-serve-artifacts",
        "--default-artifact-root",
        &root,
    ];
    let server = Process::start(folder.path(), &flags);
    let run = Client::new(server.address).post("runs/create", &json!({"experiment_id": "0"})).ok();
    assert!(text(&run, "/run/info/artifact_uri").starts_with(&root), "{run}");
    drop(server);
    let refused = command(folder.path(), &["--port", "0"])
        .env("MLFLOW_BACKEND_STORE_URI", "http://localhost:5000")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is a tracking server itself"), "{refused:?}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = command(folder.path(), &["--port", &port]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("choose another --host or --port"),
        "{refused:?}"
    );
}

#[test]
fn it_says_when_others_can_reach_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path(), &["--port", "0", "--host", "0.0.0.0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut warning = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut warning).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(warning.contains("warning") && warning.contains("asks nobody for a password"), "{warning}");
}

#[test]
fn what_was_acknowledged_survives_a_kill_during_the_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(folder.path(), &["--port", "0"]);
    let address = server.address;
    let run = Client::new(address).post("runs/create", &json!({"experiment_id": "0"})).ok();
    let run = text(&run, "/run/info/run_id").to_owned();
    let acknowledged: Vec<AtomicUsize> = (0..8).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for (writer, count) in acknowledged.iter().enumerate() {
            let run = &run;
            scope.spawn(move || {
                let mut client = Client::new(address);
                for step in 0.. {
                    let point = json!({"run_id": run, "key": format!("m{writer}"), "value": step, "timestamp": 1, "step": step});
                    if client.try_post("runs/log-metric", &point).is_none_or(|answer| answer.status != 200) {
                        break;
                    }
                    count.store(step + 1, Ordering::Relaxed);
                }
            });
        }
        while acknowledged.iter().any(|count| count.load(Ordering::Relaxed) < 20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        server.signal(Signal::KILL);
    });

    let server = Process::start(folder.path(), &["--port", "0"]);
    let mut client = Client::new(server.address);
    for (writer, count) in acknowledged.iter().enumerate() {
        let history = client.get(&format!("metrics/get-history?run_id={run}&metric_key=m{writer}")).ok();
        let steps: Vec<i64> = history["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point: &Value| point["step"].as_i64().unwrap())
            .collect();
        let acknowledged = count.load(Ordering::Relaxed);
        // The one point that was under way may have come through or not.
        assert!(
            steps.len() == acknowledged || steps.len() == acknowledged + 1,
            "{} of {acknowledged}",
            steps.len()
        );
        assert_eq!(steps, (0..steps.len() as i64).collect::<Vec<_>>());
    }
}
