//! `fulmen train`: one run, a sweep, or a run that goes on.

use std::time::Instant;

use fulmen_configuration::info::show_config;
use fulmen_contracts::event::Outcome;
use fulmen_contracts::{Event, ExitCode};
use fulmen_manager::{Ended, Report, Worker, encrypted_of, find_run};
use fulmen_runner::{Composed, Job, Source, launch, resume};
use fulmen_tracking::Run;
use serde_json::json;

use super::{config, interrupts, open_store};
use crate::arguments::{ConfigPart, TrainArguments};
use crate::display::progress::{Progress, number};
use crate::display::table::{self, Align};
use crate::error::CliError;
use crate::terminal::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, print, say, say_json, styled, tell};
use crate::{embedded, special};

/// Trains what the command line describes.
pub(crate) fn run(arguments: TrainArguments) -> Result<ExitCode, CliError> {
    let TrainArguments { source, multirun, cfg, package, resolve, info, profile, json, mut overrides } =
        arguments;
    if profile && !overrides.iter().any(|text| text.contains("trainer.profiler=")) {
        overrides.push("trainer.profiler=simple".to_owned());
    }
    let source = embedded::source(&source)?;
    let resumed = special::take(&mut overrides, "resume");
    if cfg.is_some() || info.is_some() {
        let config = source.composer().compose(source.config_name.as_str(), &overrides)?;
        print(match (info, cfg) {
            (Some(what), _) => config::info_text(&config, what),
            (None, part) => {
                let part = config::part(part.unwrap_or(ConfigPart::Job));
                show_config(&config, part, package.as_deref(), resolve)?
            }
        });
        return Ok(ExitCode::Success);
    }
    if let Some(wanted) = resumed {
        return go_on(&source, &wanted, overrides, json);
    }
    if !multirun {
        return one(&source.compose(&overrides)?, json);
    }
    let composer = source.composer();
    let plan = composer.multirun(Some(&source.config_name), &overrides)?;
    let mut worst = ExitCode::Success;
    for (index, job) in plan.jobs.iter().enumerate() {
        tell(format!("{} {}", styled(BOLD, format!("job {}/{}", index + 1, plan.jobs.len())), job.join(" ")));
        let composed = Composed { of_sweep: true, ..Composed::of(composer.compose_job(&plan, index)?)? };
        match one(&composed, json)? {
            ExitCode::Success => {}
            ExitCode::Interrupted => return Ok(ExitCode::Interrupted),
            other => worst = other,
        }
    }
    Ok(worst)
}

fn one(composed: &Composed, json: bool) -> Result<ExitCode, CliError> {
    let worker = Worker::find()?;
    let catalog = worker.catalog()?;
    // Before the store is opened, and with it a database made, in a folder that was only a slip.
    fulmen_runner::check(&composed.resolved, &catalog)?;
    let interrupts = interrupts();
    let job = Job {
        worker: &worker,
        catalog: &catalog,
        store: open_store(&composed.resolved)?,
        interrupts: &interrupts,
    };
    let mut watch = Watch::new(json);
    let report = launch(&job, composed, |event, run| watch.see(event, run));
    watch.finish(report?)
}

fn go_on(
    source: &Source,
    wanted: &str,
    mut overrides: Vec<String>,
    json: bool,
) -> Result<ExitCode, CliError> {
    let worker = Worker::find()?;
    let catalog = worker.catalog()?;
    let interrupts = interrupts();
    // The store may be named by an override; the rest are for the run's own configuration.
    let (of_store, of_run): (Vec<_>, Vec<_>) =
        overrides.drain(..).partition(|text| text.starts_with("mlflow."));
    let store = open_store(&source.compose(&of_store)?.resolved)?;
    let run = find_run(store.as_ref(), wanted)?;
    let job = Job { worker: &worker, catalog: &catalog, store, interrupts: &interrupts };
    let mut watch = Watch::new(json);
    let report = resume(&job, &run, &of_run, |event, run| watch.see(event, run));
    watch.finish(report?)
}

/// Shows a run while it goes on, and what became of it.
struct Watch {
    json: bool,
    progress: Progress,
    began: Instant,
    announced: bool,
}

impl Watch {
    fn new(json: bool) -> Self {
        Self { json, progress: Progress::new(), began: Instant::now(), announced: false }
    }

    fn see(&mut self, event: &Event, run: &Run) {
        if self.json {
            return say_json(event);
        }
        if !self.announced && matches!(event, Event::Started { .. }) {
            self.announced = true;
            tell(format!("run {}  {}", styled(BOLD, &run.info.run_name), styled(DIM, &run.info.run_id)));
        }
        self.progress.show(event);
    }

    fn finish(mut self, report: Report) -> Result<ExitCode, CliError> {
        self.progress.end();
        let code = match &report.ended {
            Ended::Said(Outcome::Completed { .. }) => ExitCode::Success,
            Ended::Said(Outcome::Interrupted { .. }) => ExitCode::Interrupted,
            Ended::Said(Outcome::BadInput { .. }) => ExitCode::BadInput,
            Ended::Said(Outcome::Failed { .. }) | Ended::Crashed { .. } => ExitCode::Failure,
        };
        if self.json {
            self.say_result(&report)
        } else {
            self.tell_result(&report)
        }
        if let Some(delivery) = report.delivery.filter(|delivery| delivery.pending > 0) {
            let journal = delivery.journal.unwrap_or_default();
            tell(format!(
                "{}: {} records are not in the tracking store yet, they are kept in {}",
                styled(YELLOW, "warning"),
                delivery.pending,
                journal.display()
            ));
        }
        if let Some(upload) = report.upload.filter(|upload| upload.pending > 0) {
            tell(format!(
                "{}: {} artifacts are only in the run's folder yet, `fulmen sync` brings them to the store: {}",
                styled(YELLOW, "warning"),
                upload.pending,
                upload.last_error.unwrap_or_default()
            ));
        }
        Ok(code)
    }

    fn say_result(&self, report: &Report) {
        let run = report.run.as_ref();
        let metrics: serde_json::Map<String, serde_json::Value> = run
            .into_iter()
            .flat_map(|run| &run.data.metrics)
            .map(|metric| (metric.key.clone(), json!(metric.value)))
            .collect();
        let outcome = match &report.ended {
            Ended::Said(outcome) => json!(outcome),
            Ended::Crashed { message, log } => json!({"status": "crashed", "message": message, "log": log}),
        };
        say_json(&json!({
            "event": "result",
            "run_id": run.map(|run| &run.info.run_id),
            "run_name": run.map(|run| &run.info.run_name),
            "folder": report.folder.as_ref().map(|folder| folder.path()),
            "outcome": outcome,
            "metrics": metrics,
            "seconds": self.began.elapsed().as_secs_f64(),
        }));
    }

    fn tell_result(&self, report: &Report) {
        let Some(run) = &report.run else { return };
        let id = &run.info.run_id;
        match &report.ended {
            Ended::Said(Outcome::Completed { reason }) => {
                let seconds = self.began.elapsed().as_secs_f64();
                tell(format!("{} in {seconds:.1}s: {reason}\n", styled(GREEN, "done")));
                self.say_metrics(run);
                let is_encrypted = encrypted_of(run).is_some();
                if let Some(folder) = report.folder.as_ref().filter(|_| !is_encrypted) {
                    let weights = ["best", "last"].map(|name| {
                        folder.artifacts().join("checkpoints").join(name).join("model.safetensors")
                    });
                    if let Some(weights) = weights.iter().find(|weights| weights.is_file()) {
                        say(format!("\nweights  {}", shorter(weights)));
                    }
                }
                say(format!("\n{}", styled(BOLD, "what next")));
                let mut next = vec![
                    ("fulmen runs list".to_owned(), "all runs"),
                    (format!("fulmen runs show {id}"), "this run"),
                    (
                        format!("fulmen predict run={id} input=<file or folder>"),
                        "predict with its best checkpoint",
                    ),
                ];
                if is_encrypted {
                    next.push((
                        format!("fulmen artifacts get {id} checkpoints/best"),
                        "that checkpoint, decrypted",
                    ));
                }
                let width = next.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
                for (command, why) in next {
                    let room = " ".repeat(width - command.len());
                    say(format!("  {}{room}  {}", styled(CYAN, command), styled(DIM, why)));
                }
            }
            Ended::Said(Outcome::Interrupted { checkpoint }) => {
                let saved = checkpoint
                    .as_ref()
                    .map_or_else(String::new, |checkpoint| format!(", state saved in {checkpoint}"));
                tell(format!("{}{saved}", styled(YELLOW, "stopped")));
                tell(format!("go on with  {}", styled(CYAN, format!("fulmen train resume={id}"))));
            }
            Ended::Said(outcome @ (Outcome::Failed { message, .. } | Outcome::BadInput { message, .. })) => {
                tell(format!("{}: {message}", styled(RED, "the run failed")));
                if let Outcome::Failed { report: Some(note), .. } = outcome {
                    for line in &note.advice {
                        tell(format!("  {} {line}", styled(CYAN, "·")));
                    }
                    if let Some(folder) = &report.folder {
                        tell(format!(
                            "all that is known of it: {}",
                            shorter(&folder.artifacts().join(&note.path))
                        ));
                    }
                }
                tell(format!("its record is kept: {}", styled(CYAN, format!("fulmen runs show {id}"))));
            }
            Ended::Crashed { message, log } => {
                tell(format!("{}: {message}", styled(RED, "the run crashed")));
                log.iter().for_each(|line| tell(styled(DIM, format!("  {line}"))));
                tell(format!(
                    "its last checkpoint is kept: {}",
                    styled(CYAN, format!("fulmen train resume={id}"))
                ));
            }
        }
    }

    fn say_metrics(&self, run: &Run) {
        let value = |key: String| {
            run.data.metrics.iter().find(|metric| metric.key == key).map(|metric| number(metric.value))
        };
        let mut names: Vec<&str> = run
            .data
            .metrics
            .iter()
            .filter_map(|metric| metric.key.split_once('/'))
            .filter(|(stage, name)| ["train", "val", "test"].contains(stage) && !name.ends_with("_step"))
            .map(|(_, name)| name)
            .collect();
        names.sort_unstable();
        names.dedup();
        let rows = names
            .into_iter()
            .map(|name| {
                let cell = |stage: &str| value(format!("{stage}/{name}")).unwrap_or_default();
                vec![name.to_owned(), cell("train"), cell("val"), styled(BOLD, cell("test"))]
            })
            .collect();
        table::show(
            &[
                ("metric", Align::Left),
                ("train", Align::Right),
                ("val", Align::Right),
                ("test", Align::Right),
            ],
            rows,
        );
    }
}

/// A path as seen from here, where it is below here.
fn shorter(path: &std::path::Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
