//! What is known when a run fails: one page for people, the same as JSON beside it.

mod advice;
mod memory;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};

use fulmen_contracts::Stage;
use fulmen_contracts::event::{FailureNote, Values};
use fulmen_utils::{atomic, text};
use serde_json::{Value, json};

use crate::trainer::{Trainer, TrainerState};
use crate::{Error, Result};

use advice::FailureKind;
pub(crate) use memory::{MemoryByPhase, Phase};

/// The report's name, without its ending.
const NAME: &str = "reports/failure";
/// Lines of the log that it ends with.
const LOG_LINES: usize = 40;
/// Bytes of the log that are looked at.
const LOG_BYTES: i64 = 64 << 10;

/// Where a run was when it failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub(crate) stage: Stage,
    pub(crate) state: &'a TrainerState,
    /// The batch within its pass.
    pub(crate) batch: u64,
    pub(crate) metrics: &'a Values,
    pub(crate) memory: &'a MemoryByPhase,
    pub(crate) learning_rate: f64,
}

/// Whether an error is the run's rather than the request's: only then there is something to report.
pub(crate) const fn is_worth_one(error: &Error) -> bool {
    !matches!(
        error,
        Error::Config { .. } | Error::Build { .. } | Error::Checkpoint { .. } | Error::Encryption(_)
    )
}

/// Writes the report below the run's own folder, where it is one of its artifacts.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(trainer: &Trainer, at: Situation<'_>, error: &Error) -> Result<FailureNote> {
    let kind = FailureKind::of(error);
    let advice = kind.advice(error, &trainer.config, &trainer.loader, at.learning_rate);
    atomic::create_folder(&trainer.folder.join("reports"))?;
    let page = page(trainer, at, error, kind, &advice);
    let path = format!("{NAME}.md");
    atomic::write(&trainer.folder.join(&path), page.as_bytes())?;
    let data = data(trainer, at, error, kind, &advice);
    let data = serde_json::to_vec_pretty(&data).unwrap_or_default();
    atomic::write(&trainer.folder.join(format!("{NAME}.json")), &data)?;
    Ok(FailureNote { path, advice })
}

fn page(trainer: &Trainer, at: Situation<'_>, error: &Error, kind: FailureKind, advice: &[String]) -> String {
    let Situation { stage, state, batch, .. } = at;
    let mut page = format!("# The run failed: {}\n\n{error}\n\n## What to do\n\n", kind.title());
    for line in advice {
        let _ = writeln!(page, "- {line}");
    }
    let _ = writeln!(
        page,
        "\n## Where\n\nStage {}, epoch {}, batch {batch}, after {} optimizer steps and {} samples.",
        stage.name(),
        state.epoch,
        state.global_step,
        state.samples
    );
    if at.learning_rate.is_finite() {
        let _ = writeln!(page, "Learning rate {:e}.", at.learning_rate);
    }
    let _ = writeln!(page, "\n## Last metrics\n");
    if at.metrics.is_empty() {
        let _ = writeln!(page, "None yet.");
    }
    for (name, value) in at.metrics {
        let _ = writeln!(page, "- {name}: {value}");
    }
    let _ = writeln!(
        page,
        "\n## Memory by phase\n\n| phase | of the process | its peak | of the device | reserved | its peak |\n|---|---|---|---|---|---|"
    );
    for (phase, memory) in at.memory.with_now() {
        let device =
            memory.device.map_or_else(|| vec!["-".to_owned(); 3], |found| found.map(text::bytes).to_vec());
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            phase.name(),
            text::bytes(memory.resident),
            text::bytes(memory.peak_resident),
            device.join(" | ")
        );
    }
    let _ = writeln!(page, "\n## Environment\n");
    for (name, value) in &trainer.environment {
        let _ = writeln!(page, "- {name}: {value}");
    }
    let log = log_tail();
    if !log.is_empty() {
        let _ = writeln!(page, "\n## End of the log\n\n```text\n{log}\n```");
    }
    page
}

fn data(trainer: &Trainer, at: Situation<'_>, error: &Error, kind: FailureKind, advice: &[String]) -> Value {
    let layer = match error {
        Error::NonFinite { layer, .. } => layer.clone(),
        _ => None,
    };
    let (owner, hook) = match error {
        Error::Hook { owner, hook, .. } => (Some(owner), Some(hook)),
        _ => (None, None),
    };
    let memory: Vec<Value> = at
        .memory
        .with_now()
        .into_iter()
        .map(|(phase, memory)| {
            json!({
                "phase": phase.name(), "resident_bytes": memory.resident, "peak_resident_bytes": memory.peak_resident,
                "device_bytes": memory.device.map(|[allocated, reserved, peak]| json!({"allocated": allocated, "reserved": reserved, "peak_allocated": peak})),
            })
        })
        .collect();
    json!({
        "kind": kind.title(), "message": error.to_string(), "layer": layer, "owner": owner, "hook": hook,
        "stage": at.stage.name(), "epoch": at.state.epoch, "batch": at.batch, "global_step": at.state.global_step,
        "samples": at.state.samples, "learning_rate": Some(at.learning_rate).filter(|lr| lr.is_finite()),
        "advice": advice, "metrics": at.metrics, "memory": memory, "environment": trainer.environment,
    })
}

/// The last lines of what this process has written to standard error, where that is a file.
fn log_tail() -> String {
    let tail = || {
        let mut file = fs::File::open("/proc/self/fd/2")
            .ok()
            .filter(|file| file.metadata().is_ok_and(|is| is.is_file()))?;
        let length = i64::try_from(file.metadata().ok()?.len()).ok()?;
        file.seek(SeekFrom::End(-length.min(LOG_BYTES))).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        Some(lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
    };
    tail().unwrap_or_default()
}
