//! `fulmen validate`, `test` and `predict`: a run's checkpoint on its data, or on files of the user's.

use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

use fulmen_contracts::event::{Outcome, Values};
use fulmen_contracts::{Command, Event, ExitCode, RunKeys};
use fulmen_manager::{Ended, Manager, RunFolder, Worker, find_run};
use fulmen_runner::{Composed, ConfigProblem, Problems, check, run_encryption, saved};
use fulmen_utils::atomic::WriteError;
use serde_json::json;

use super::{interrupts, open_store};
use crate::arguments::{EvaluateArguments, PredictArguments, SourceArguments};
use crate::display::progress::{Progress, number};
use crate::display::table::{self, Align};
use crate::error::CliError;
use crate::terminal::{RED, YELLOW, say_json, styled, tell};
use crate::{embedded, special};

/// Evaluates on the validation split.
pub(crate) fn validate(arguments: EvaluateArguments) -> Result<ExitCode, CliError> {
    evaluate(arguments, Command::Validate)
}

/// Evaluates on the test split.
pub(crate) fn test(arguments: EvaluateArguments) -> Result<ExitCode, CliError> {
    evaluate(arguments, Command::Test)
}

fn evaluate(arguments: EvaluateArguments, command: Command) -> Result<ExitCode, CliError> {
    let EvaluateArguments { json, overrides, source } = arguments;
    let of_run = OfRun::find(&source, overrides, "as in `fulmen test run=<id>`")?;
    let mut progress = Progress::new();
    let mut values = Values::new();
    let ended = of_run.carry_out(command, |event| {
        if let Event::StageFinished { values: measured, .. } = event {
            values = measured.clone();
        }
        if !json {
            progress.show(event);
        }
    })?;
    progress.end();
    let code = of_run.code(&ended)?;
    if code == ExitCode::Success {
        if json {
            say_json(&json!({"run_id": of_run.run_id, "metrics": values}));
        } else {
            let rows = values.iter().map(|(name, value)| vec![name.clone(), number(*value)]).collect();
            table::show(&[("metric", Align::Left), ("value", Align::Right)], rows);
        }
    }
    Ok(code)
}

/// Predicts for files of the user's.
pub(crate) fn predict(arguments: PredictArguments) -> Result<ExitCode, CliError> {
    let PredictArguments { mut overrides, source } = arguments;
    let input = special::require(&mut overrides, "input", "as in `fulmen predict run=<id> input=photo.png`")?;
    let output = special::take(&mut overrides, "output").map(PathBuf::from);
    if !Path::new(&input).exists() {
        return Err(CliError::usage(format!("input: there is no file or folder {input}")));
    }
    let input = std::path::absolute(&input).unwrap_or_else(|_| PathBuf::from(&input));
    let of_run = OfRun::find(&source, overrides, "as in `fulmen predict run=<id> input=photo.png`")?;
    let mut out: Box<dyn Write> = match &output {
        Some(path) => {
            Box::new(BufWriter::new(File::create(path).map_err(|error| WriteError::new(path, error))?))
        }
        None => Box::new(stdout().lock()),
    };
    let mut unwritten = None;
    let ended = of_run.carry_out(Command::Predict { input }, |event| {
        if let Event::Prediction { record } = event
            && let Err(error) = writeln!(out, "{record}")
        {
            unwritten.get_or_insert(error);
        }
    })?;
    if let Err(error) = out.flush() {
        unwritten.get_or_insert(error);
    }
    match (unwritten, output) {
        // A reader that has seen enough is no error.
        (Some(error), Some(path)) => Err(WriteError::new(&path, error).into()),
        _ => of_run.code(&ended),
    }
}

/// A run's checkpoint and configuration.
struct OfRun {
    run_id: String,
    worker: Worker,
    composed: Composed,
    checkpoint: PathBuf,
    keys: Option<RunKeys>,
}

impl OfRun {
    fn find(source: &SourceArguments, mut overrides: Vec<String>, example: &str) -> Result<Self, CliError> {
        let wanted = special::require(&mut overrides, "run", example)?;
        let checkpoint = special::take(&mut overrides, "checkpoint").unwrap_or_else(|| "best".to_owned());
        let (of_store, of_run): (Vec<_>, Vec<_>) =
            overrides.into_iter().partition(|text| text.starts_with("mlflow."));
        let store = open_store(&embedded::source(source)?.compose(&of_store)?.resolved)?;
        let run = find_run(store.as_ref(), &wanted)?;
        let folder = RunFolder::of(&run)?;
        let composed = saved(&folder, &of_run)?;
        let worker = Worker::find()?;
        check(&composed.resolved, &worker.catalog()?)?;
        let checkpoint = folder.checkpoint(&checkpoint).or_else(|missing| match checkpoint.as_str() {
            // A run that was stopped before its first validation has no best one yet.
            "best" => folder.checkpoint("last").map_err(|_| missing),
            _ => Err(missing),
        })?;
        let run_id = run.info.run_id;
        let keys = run_encryption(&composed.resolved)?.map(|encryption| encryption.for_worker(&run_id));
        Ok(Self { run_id, worker, composed, checkpoint, keys })
    }

    fn carry_out(&self, command: Command, take: impl FnMut(&Event)) -> Result<Ended, CliError> {
        let config = self.composed.resolved.to_json();
        Ok(Manager::evaluate(
            &self.worker,
            command,
            config,
            Some(self.checkpoint.clone()),
            self.keys.clone(),
            &interrupts(),
            take,
        )?)
    }

    fn code(&self, ended: &Ended) -> Result<ExitCode, CliError> {
        match ended {
            Ended::Said(Outcome::Completed { .. }) => Ok(ExitCode::Success),
            Ended::Said(Outcome::Interrupted { .. }) => {
                tell(styled(YELLOW, "stopped"));
                Ok(ExitCode::Interrupted)
            }
            Ended::Said(Outcome::BadInput { message, key }) => {
                let key = key.as_deref().unwrap_or_default();
                Err(Problems(vec![ConfigProblem::placed(&self.composed.resolved, key, message)]).into())
            }
            Ended::Said(Outcome::Failed { message, .. }) => {
                tell(format!("{}: {message}", styled(RED, "failed")));
                Ok(ExitCode::Failure)
            }
            Ended::Crashed { message, log } => {
                tell(format!("{}: {message}", styled(RED, "crashed")));
                log.iter().for_each(tell);
                Ok(ExitCode::Failure)
            }
        }
    }
}
