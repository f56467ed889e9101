//! A server on a free port of loopback, over a store and an artifact root in a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use fulmen_encryption::Keyring;
use fulmen_server::{HostRules, Server, ServerError, Settings};
use serde_json::json;

use crate::http::{Client, text};

pub struct Running {
    pub address: SocketAddr,
    pub encrypts: bool,
    folder: tempfile::TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Running {
    pub fn start() -> Self {
        Self::with(HostRules::default(), true)
    }

    /// One that keeps artifacts as they are, and one that encrypts them.
    pub fn plain_and_encrypted() -> [Self; 2] {
        let keyring = Arc::new(Keyring::generate());
        [None, Some(keyring)].map(|keyring| Self::keeping(HostRules::default(), true, keyring))
    }

    pub fn with(hosts: HostRules, serve_artifacts: bool) -> Self {
        Self::keeping(hosts, serve_artifacts, None)
    }

    fn keeping(hosts: HostRules, serve_artifacts: bool, keyring: Option<Arc<Keyring>>) -> Self {
        let encrypts = keyring.is_some();
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("sqlite:///{}/fulmen.db", folder.path().display());
        let artifacts = folder.path().join("artifacts").display().to_string();
        let root = if serve_artifacts { "mlflow-artifacts:/" } else { &artifacts };
        let store = fulmen_tracking::open_with_artifact_root(&uri, root).unwrap();
        let settings =
            Settings { host: "127.0.0.1".into(), port: 0, artifacts, keyring, serve_artifacts, hosts };
        let server = Server::bind(&settings, store).unwrap();
        let address = server.address();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || server.run_until(stopped));
        Self { address, encrypts, folder, stop: Some(stop), thread: Some(thread) }
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub fn artifacts(&self) -> PathBuf {
        self.folder.path().join("artifacts")
    }

    /// That the file `name` lies there as it was sent, or encrypted.
    #[track_caller]
    pub fn assert_kept(&self, name: &str, content: &[u8]) {
        let kept = std::fs::read(self.artifacts().join(name)).unwrap();
        if self.encrypts {
            assert!(kept.starts_with(b"age-encryption.org/v1"), "{name}");
            assert!(!kept.windows(content.len()).any(|window| window == content), "{name}");
        } else {
            assert_eq!(kept, content, "{name}");
        }
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
