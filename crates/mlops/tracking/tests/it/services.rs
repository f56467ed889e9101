//! Real servers for tests: found on this machine, or started as processes of their own, on loopback, in temporary folders.

use std::{
    env,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

/// Why tests of MongoDB are skipped.
pub(crate) const NO_MONGODB: &str =
    "no MongoDB: set FULMEN_TEST_MONGODB, put mongod on the PATH, or let tools/test-services fetch a server";

/// A server process, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) port: u16,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    process: Mutex<Option<Child>>,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts `program` with the arguments that `arguments` makes of its folder and its port, and waits for its port.
    pub(crate) fn start(program: &Path, arguments: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = arguments(folder.path(), port);
        let log = folder.path().join("server.log");
        let server =
            Self { port, program: program.to_path_buf(), arguments, log, process: Mutex::new(None), folder };
        server.restart();
        server
    }

    /// Starts it (again), on the same port and folder.
    pub(crate) fn restart(&self) {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        // A process group of its own: some servers are several processes.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        *self.process.lock().unwrap() = Some(command.spawn().unwrap());
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(ended.is_none(), "{} ended: {}", self.program.display(), log());
            assert!(
                begin.elapsed() < Duration::from_secs(180),
                "{} is silent: {}",
                self.program.display(),
                log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// `kill -9`, the whole group.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            let _ = Command::new("kill").args(["-9", "--", &format!("-{}", process.id())]).status();
            process.wait().unwrap();
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Points for the store's tests that kill servers: fewer than a release is held against, so that a test ends soon.
pub(crate) fn load(usual: i64) -> i64 {
    env::var("FULMEN_TEST_POINTS").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

/// A program of `.venv-services/`, which `make test` prepares in the repository's root.
pub(crate) fn service(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    Some(root.join(".venv-services/bin").join(name)).filter(|program| program.exists())
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|program| program.exists())
}

/// A MongoDB server for one test: a `mongod`, else SecantusDB; `None` where there is neither.
pub(crate) fn own_mongodb() -> Option<Server> {
    if let Some(program) = on_path("mongod") {
        return Some(Server::start(&program, |folder, port| {
            let folder = folder.display().to_string();
            ["--port", &port.to_string(), "--bind_ip", "127.0.0.1", "--dbpath", &folder]
                .map(str::to_owned)
                .to_vec()
        }));
    }
    let program = service("secantusd-py")?;
    Some(Server::start(&program, |folder, port| {
        let folder = folder.join("data").display().to_string();
        ["--port", &port.to_string(), "--host", "127.0.0.1", "--storage-path", &folder, "--sync-on-commit"]
            .map(str::to_owned)
            .to_vec()
    }))
}

/// The URI of a MongoDB server that all tests share: `FULMEN_TEST_MONGODB`, or one of our own.
pub(crate) fn mongodb() -> Option<&'static str> {
    static SHARED: OnceLock<Option<String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        if let Ok(uri) = env::var("FULMEN_TEST_MONGODB") {
            return Some(uri);
        }
        let server = own_mongodb()?;
        let uri = format!("mongodb://127.0.0.1:{}", server.port);
        at_exit(server);
        Some(uri)
    });
    shared.as_deref()
}

/// Statics are never dropped: a watcher ends the server with this process.
pub(crate) fn at_exit(server: Server) {
    let group = server.process.lock().unwrap().as_ref().unwrap().id();
    let script = format!(
        "while kill -0 {own} 2>/dev/null; do sleep 0.2; done; kill -s KILL -- -{group}; rm -rf '{folder}'",
        own = std::process::id(),
        folder = server.folder.path().display(),
    );
    let watcher = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::mem::forget((server, watcher));
}

/// Why tests of tracking servers are skipped.
pub(crate) const NO_MLFLOW: &str = "no MLflow server: let tools/test-services fetch one";

/// An MLflow server on the database `mlflow.db` of its folder; `None` where there is none. It takes a while to start.
pub(crate) fn own_mlflow() -> Option<Server> {
    let program = service("mlflow")?;
    let server = Server::start(&program, |folder, port| {
        let folder = folder.display();
        [
            "server",
            "--backend-store-uri",
            &format!("sqlite:///{folder}/mlflow.db"),
            "--artifacts-destination",
            &format!("{folder}/artifacts"),
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--workers",
            "1",
        ]
        .map(str::to_owned)
        .to_vec()
    });
    server.wait_until_healthy();
    Some(server)
}

impl Server {
    /// Waits until `/health` says so.
    pub(crate) fn wait_until_healthy(&self) {
        let begin = Instant::now();
        while !crate::proxy::get(self.port, "/health").contains(" 200 ") {
            assert!(begin.elapsed() < Duration::from_secs(180), "the server is not well");
            thread::sleep(Duration::from_millis(100));
        }
    }
}
