//! A server on a free port of loopback, over a store and an artifact root in a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::JoinHandle;

use fulmen_server::{HostRules, Server, ServerError, Settings};
use serde_json::json;

use crate::http::{Client, text};

pub struct Running {
    pub address: SocketAddr,
    folder: tempfile::TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Running {
    pub fn start() -> Self {
        Self::with(HostRules::default(), true)
    }

    pub fn with(hosts: HostRules, serve_artifacts: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("sqlite:///{}/fulmen.db", folder.path().display());
        let artifacts = folder.path().join("artifacts").display().to_string();
        let root = if serve_artifacts { "mlflow-artifacts:/" } else { &artifacts };
        let store = fulmen_tracking::open_with_artifact_root(&uri, root).unwrap();
        let settings = Settings { host: "127.0.0.1".into(), port: 0, artifacts, serve_artifacts, hosts };
        let server = Server::bind(&settings, store).unwrap();
        let address = server.address();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || server.run_until(stopped));
        Self { address, folder, stop: Some(stop), thread: Some(thread) }
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub fn artifacts(&self) -> PathBuf {
        self.folder.path().join("artifacts")
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A new run of the default experiment.
    pub fn run(&self) -> String {
        let run = self.client().post("runs/create", &json!({"experiment_id": "0"})).ok();
        text(&run, "/run/info/run_id").to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
