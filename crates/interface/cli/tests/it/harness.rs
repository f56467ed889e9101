//! A folder of its own for each test, and `fulmen` called in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A folder of its own: store, cache and outputs stay in it.
pub struct Sandbox(tempfile::TempDir);

/// A short run on the digits that come with Fulmen.
pub const SHORT: [&str; 3] =
    ["trainer.max_epochs=1", "trainer.limit_train_batches=3", "trainer.num_threads=1"];

impl Sandbox {
    pub fn new() -> Self {
        let worker = fulmen().with_file_name("fulmen-worker");
        assert!(worker.is_file(), "these tests need {}: run them with `make test`", worker.display());
        Self::without_worker()
    }

    /// For commands that start no worker.
    pub fn without_worker() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(self.path(), arguments)
    }

    pub fn command_in(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(fulmen());
        command
            .args(arguments)
            .current_dir(folder)
            .env("FULMEN_CACHE", self.path().join("cache"))
            .env("NO_COLOR", "1");
        for name in [
            "MLFLOW_TRACKING_URI",
            "MLFLOW_EXPERIMENT_NAME",
            "FULMEN_CONFIG_DIR",
            "FULMEN_WORKER",
            "FULMEN_KEY_SOURCE",
        ] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(self.command(arguments).output().unwrap())
    }

    /// `fulmen train …` in the background.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Trains a short run and returns its result.
    pub fn train(&self, overrides: &[&str]) -> Value {
        let arguments: Vec<&str> =
            ["train", "--json"].iter().chain(&SHORT).chain(overrides).copied().collect();
        self.run(&arguments).succeeded().result()
    }
}

/// What a call of `fulmen` printed, and how it ended.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// It was refused with exit code 2, one message, and all of `words` in it.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> Self {
        assert_eq!(self.code, 2, "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not in:\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The last JSON object on standard output.
    #[track_caller]
    pub fn result(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_else(|| panic!("nothing was printed: {self:#?}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Every line of standard output as JSON.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn fulmen() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_fulmen"))
}

pub use crate::http::text;
