//! The worker program: where it is, what it offers, how it is started.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use fulmen_contracts::{CONTRACT_VERSION, Catalog, RunSpec};
use fulmen_utils::atomic::{self, WriteError};
use fulmen_utils::cache;
use zeroize::Zeroizing;

use crate::ManagerError;

/// By which libgomp is told how long a thread that waits for the others keeps its core. Its own answer is long, and right for
/// a machine of one's own. On one that is shared, threads then wait for one that cannot run: a small model trains several
/// times slower.
const SPIN_VARIABLES: [&str; 2] = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"];
/// Some microseconds.
const SPIN_COUNT: &str = "1000";

/// By which glibc's allocator is told to keep what was freed. By itself it gives large blocks back to the kernel, which hands
/// them out again, zeroed page by page, a step later: a third of a small model's time. 32 MiB is the largest block that it can
/// be told to keep.
const ALLOCATOR_VARIABLE: &str = "GLIBC_TUNABLES";
const ALLOCATOR_SETTINGS: &str =
    "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=4294967296";

/// The worker program.
#[derive(Debug, Clone)]
pub struct Worker(PathBuf);

impl Worker {
    /// The program that `FULMEN_WORKER` names, else `fulmen-worker` beside this program.
    ///
    /// # Errors
    /// When it is not there.
    pub fn find() -> Result<Self, ManagerError> {
        let path = env::var_os("FULMEN_WORKER").map(PathBuf::from).unwrap_or_else(|| {
            let this = env::current_exe().unwrap_or_default();
            this.with_file_name("fulmen-worker")
        });
        if path.is_file() { Ok(Self(path)) } else { Err(ManagerError::NoWorker { path }) }
    }

    /// The program itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What it offers. Asked once a build: the answer is kept in the cache under the program's path, size and time.
    ///
    /// # Errors
    /// When the program does not answer, or speaks another version of the contract.
    pub fn catalog(&self) -> Result<Catalog, ManagerError> {
        let kept = self.cache_file();
        if let Some(catalog) =
            kept.as_deref().and_then(|path| fs::read(path).ok()).and_then(|text| self.read(&text).ok())
        {
            return Ok(catalog);
        }
        let text = self.ask("catalog")?;
        let catalog = self.read(&text)?;
        if let Some(path) = kept {
            // A cache that cannot be written costs time, nothing else.
            let _ = path.parent().map(atomic::create_folder);
            let _ = atomic::write(&path, &text);
        }
        Ok(catalog)
    }

    /// What it runs on: libtorch, CPU, GPUs.
    ///
    /// # Errors
    /// When the program does not answer.
    pub fn environment(&self) -> Result<serde_json::Value, ManagerError> {
        let text = self.ask("environment")?;
        serde_json::from_slice(&text).map_err(|error| self.failure(format!("answered no JSON: {error}")))
    }

    /// Starts a run, in a process group of its own: a Ctrl-C at the terminal reaches the manager, which passes it on.
    pub(crate) fn start(&self, spec: &RunSpec, log: &Path) -> Result<Child, ManagerError> {
        let log_file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| WriteError::new(log, error))?;
        let mut command = Command::new(&self.0);
        if is_machine_busy() && SPIN_VARIABLES.iter().all(|name| env::var_os(name).is_none()) {
            command.env(SPIN_VARIABLES[0], SPIN_COUNT);
        }
        if env::var_os(ALLOCATOR_VARIABLE).is_none() {
            command.env(ALLOCATOR_VARIABLE, ALLOCATOR_SETTINGS);
        }
        let mut child = command
            .arg("run")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .process_group(0)
            .spawn()
            .map_err(|error| self.failure(format!("cannot be started: {error}")))?;
        // It may hold keys. Of enough room for most, since a text that grows leaves copies of itself behind.
        let mut text = Zeroizing::new(Vec::with_capacity(1 << 18));
        serde_json::to_writer(&mut *text, spec)
            .map_err(|error| self.failure(format!("cannot be told its run: {error}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A worker that ends before it has read this says why in its log and by its exit code.
            let _ = stdin.write_all(&text);
        }
        Ok(child)
    }

    fn ask(&self, question: &str) -> Result<Vec<u8>, ManagerError> {
        let output = Command::new(&self.0)
            .arg(question)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.failure(format!("cannot be started: {error}")))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(self.failure(format!("ended with {}: {}", output.status, said.trim())))
    }

    fn read(&self, text: &[u8]) -> Result<Catalog, ManagerError> {
        let catalog: Catalog = serde_json::from_slice(text)
            .map_err(|error| self.failure(format!("answered no catalog: {error}")))?;
        if catalog.contract_version != CONTRACT_VERSION {
            let theirs = catalog.contract_version;
            return Err(self.failure(format!("speaks version {theirs} of the contract, this program {CONTRACT_VERSION}: build both from one Fulmen")));
        }
        Ok(catalog)
    }

    fn cache_file(&self) -> Option<PathBuf> {
        let data = fs::metadata(&self.0).ok()?;
        let time = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        let path = fs::canonicalize(&self.0).ok()?;
        let key = cache::key(&[path.to_string_lossy().as_ref(), &data.len().to_string(), &time.to_string()]);
        Some(cache::folder()?.join("catalogs").join(format!("{key}.json")))
    }

    fn failure(&self, reason: String) -> ManagerError {
        ManagerError::Worker { path: self.0.clone(), reason }
    }
}

/// Whether others keep half of the cores or more busy, at each of some looks: one look would take a passing process for company, and
/// threads that sleep too early cost a machine of one's own a quarter of its speed.
fn is_machine_busy() -> bool {
    const LOOKS: usize = 5;
    const APART: Duration = Duration::from_millis(4);
    (0..LOOKS).all(|look| {
        if look > 0 {
            thread::sleep(APART);
        }
        are_cores_taken()
    })
}

/// As the kernel counts at this moment (proc(5), loadavg).
fn are_cores_taken() -> bool {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let runnable =
        text.split_whitespace().nth(3).and_then(|field| field.split('/').next()?.parse::<usize>().ok());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    // This process is one of them.
    runnable.is_some_and(|runnable| runnable.saturating_sub(1) * 2 >= cores)
}
