//! `fulmen doctor`: what this machine has, and what to do about what is missing.

use std::path::Path;

use fulmen_contracts::ExitCode;
use fulmen_manager::{Worker, experiments};
use fulmen_utils::{atomic, cache, text};
use serde_json::json;

use super::open_store;
use crate::arguments::DoctorArguments;
use crate::embedded;
use crate::error::CliError;
use crate::terminal::{BOLD, CYAN, GREEN, RED, YELLOW, say, say_json, styled};

/// One thing that was looked at.
struct Finding {
    name: &'static str,
    grade: Grade,
    found: String,
    advice: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grade {
    Good,
    /// Runs work without it.
    Missing,
    /// Runs do not.
    Broken,
}

/// Looks at everything that a run needs.
pub(crate) fn run(arguments: &DoctorArguments) -> Result<ExitCode, CliError> {
    let mut findings = vec![finding("fulmen", Grade::Good, env!("CARGO_PKG_VERSION"), None)];
    findings.extend(worker());
    findings.push(cpu());
    findings.push(store(arguments));
    findings.push(cache_folder());
    if arguments.json {
        let list: Vec<_> = findings
            .iter()
            .map(|one| json!({"name": one.name, "grade": word(one.grade), "found": one.found, "advice": one.advice}))
            .collect();
        say_json(&list);
    } else {
        for Finding { name, grade, found, advice } in &findings {
            let mark = match grade {
                Grade::Good => styled(GREEN, "✓"),
                Grade::Missing => styled(YELLOW, "–"),
                Grade::Broken => styled(RED, "✗"),
            };
            say(format!("{mark} {}  {found}", styled(BOLD, format!("{name:10}"))));
            if let Some(advice) = advice {
                say(format!("  {:10}  {}", "", styled(CYAN, advice)));
            }
        }
    }
    let broken = findings.iter().any(|one| one.grade == Grade::Broken);
    Ok(if broken { ExitCode::Failure } else { ExitCode::Success })
}

fn finding(name: &'static str, grade: Grade, found: impl Into<String>, advice: Option<&str>) -> Finding {
    Finding { name, grade, found: found.into(), advice: advice.map(str::to_owned) }
}

fn worker() -> Vec<Finding> {
    let worker = match Worker::find() {
        Ok(worker) => worker,
        Err(error) => {
            return vec![finding(
                "worker",
                Grade::Broken,
                error.to_string(),
                Some("make setup && cargo build --release -p fulmen-worker"),
            )];
        }
    };
    let environment = match worker.environment() {
        Ok(environment) => environment,
        Err(error) => {
            let advice = "the worker finds no libtorch: run `make setup`, which puts it into .libtorch/";
            return vec![finding("libtorch", Grade::Broken, error.to_string(), Some(advice))];
        }
    };
    let value = |name: &str| environment.get(name).and_then(|value| value.as_str()).unwrap_or("?").to_owned();
    let components = worker
        .catalog()
        .map_or_else(|error| error.to_string(), |catalog| format!("{} components", catalog.components.len()));
    let cuda = value("cuda");
    let gpu = if cuda.ends_with("device(s)") {
        finding("gpu", Grade::Good, cuda, None)
    } else {
        let driver = Path::new("/proc/driver/nvidia/version").exists();
        let advice = if driver {
            "an NVIDIA driver is here: run `make setup` again, so that libtorch gets its CUDA libraries"
        } else {
            "runs use the CPU"
        };
        finding("gpu", Grade::Missing, cuda, Some(advice))
    };
    vec![
        finding("worker", Grade::Good, format!("{}, {components}", worker.path().display()), None),
        finding(
            "libtorch",
            Grade::Good,
            format!(
                "{}, {} kernels, {} threads",
                value("libtorch"),
                value("cpu_capability"),
                value("threads")
            ),
            None,
        ),
        gpu,
    ]
}

fn cpu() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    });
    let memory = total.map_or_else(String::new, |kib| format!(", {} of memory", text::bytes(kib * 1024)));
    finding("cpu", Grade::Good, format!("{cores} cores{memory}"), None)
}

fn store(arguments: &DoctorArguments) -> Finding {
    let opened = embedded::source(&arguments.source)
        .and_then(|source| Ok(source.compose(&[])?))
        .and_then(|composed| open_store(&composed.resolved))
        .and_then(|store| Ok((experiments(store.as_ref())?.len(), store.uri().to_owned())));
    match opened {
        Ok((experiments, uri)) => {
            finding("store", Grade::Good, format!("{uri}, {experiments} experiment(s)"), None)
        }
        Err(error) => finding(
            "store",
            Grade::Broken,
            error.to_string(),
            Some("set mlflow.tracking_uri, or MLFLOW_TRACKING_URI"),
        ),
    }
}

fn cache_folder() -> Finding {
    match cache::folder() {
        Some(folder) => {
            let nearest = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
            let free = atomic::free_bytes(nearest)
                .map_or_else(String::new, |free| format!(", {} free", text::bytes(free)));
            finding("cache", Grade::Good, format!("{}{free}", folder.display()), None)
        }
        None => {
            finding("cache", Grade::Missing, "no folder for downloads", Some("set FULMEN_CACHE to a folder"))
        }
    }
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "good",
        Grade::Missing => "missing",
        Grade::Broken => "broken",
    }
}
