//! From a composed configuration to a run, or to a run that goes on.

use std::path::Path;
use std::sync::Arc;

use fulmen_contracts::event::Outcome;
use fulmen_contracts::{Catalog, Event};
use fulmen_manager::{Ended, Interrupts, Launch, Manager, ManagerError, Report, RunFolder, Worker};
use fulmen_tracking::{Run, Tag, TrackingStore};
use fulmen_utils::atomic;
use serde_json::Value;

use crate::RunnerError;
use crate::compose::{Composed, saved};
use crate::encryption::run_encryption;
use crate::problem::{ConfigProblem, Problems, check};

/// What a run needs beside its configuration.
#[derive(Debug)]
pub struct Job<'a> {
    /// The program that runs it.
    pub worker: &'a Worker,
    /// What that program offers.
    pub catalog: &'a Catalog,
    /// Where it is recorded.
    pub store: Arc<dyn TrackingStore>,
    /// Ctrl-C.
    pub interrupts: &'a Interrupts,
}

/// Trains a new run.
///
/// # Errors
/// When the configuration does not fit, the worker refuses it, or the run could not be started.
pub fn launch(
    job: &Job<'_>,
    composed: &Composed,
    take: impl FnMut(&Event, &Run),
) -> Result<Report, RunnerError> {
    check(&composed.resolved, job.catalog)?;
    let config = composed.resolved.to_json();
    let text =
        |key: &str| config.pointer(&format!("/mlflow/{key}")).and_then(Value::as_str).map(str::to_owned);
    let tags = config.pointer("/mlflow/tags").and_then(Value::as_object).into_iter().flatten();
    let launch = Launch {
        experiment_name: text("experiment_name").unwrap_or_else(|| "Default".to_owned()),
        run_name: text("run_name"),
        tags: tags.map(|(key, value)| Tag::new(key, value.as_str().unwrap_or_default())).collect(),
        files: composed.files(),
        resume: None,
        encryption: run_encryption(&composed.resolved)?,
        config,
    };
    if let Some(folder) = composed.record_folder()? {
        write_record(&folder, &launch.files)?;
    }
    run(job, composed, &launch, take)
}

fn write_record(folder: &Path, files: &[(String, String)]) -> Result<(), ManagerError> {
    atomic::create_folder(&folder.join(".hydra"))?;
    for (name, text) in files {
        atomic::write(&folder.join(name), text.as_bytes())?;
    }
    Ok(())
}

/// Goes on with a run that was stopped, from its last checkpoint, or from the beginning where it has none. Overrides may lengthen it: `trainer.max_epochs=20`.
///
/// # Errors
/// As [`launch`], and when the run's folder is not here.
pub fn resume(
    job: &Job<'_>,
    run_to_resume: &Run,
    overrides: &[String],
    take: impl FnMut(&Event, &Run),
) -> Result<Report, RunnerError> {
    let folder = RunFolder::of(run_to_resume)?;
    let composed = saved(&folder, overrides)?;
    check(&composed.resolved, job.catalog)?;
    let launch = Launch {
        config: composed.resolved.to_json(),
        files: Vec::new(),
        experiment_name: String::new(),
        run_name: None,
        tags: Vec::new(),
        resume: Some(run_to_resume.clone()),
        encryption: run_encryption(&composed.resolved)?,
    };
    run(job, &composed, &launch, take)
}

fn run(
    job: &Job<'_>,
    composed: &Composed,
    launch: &Launch,
    take: impl FnMut(&Event, &Run),
) -> Result<Report, RunnerError> {
    let manager = Manager { worker: job.worker.clone(), store: job.store.clone() };
    let report = manager.train(launch, job.interrupts, take)?;
    refusal(composed, &report.ended)?;
    Ok(report)
}

/// What the worker refused, placed in the configuration.
pub(crate) fn refusal(composed: &Composed, ended: &Ended) -> Result<(), Problems> {
    match ended {
        Ended::Said(Outcome::BadInput { message, key }) => Err(Problems(vec![ConfigProblem::placed(
            &composed.resolved,
            key.as_deref().unwrap_or_default(),
            message,
        )])),
        _ => Ok(()),
    }
}
