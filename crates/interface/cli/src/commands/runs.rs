//! `fulmen runs`: what the store holds.

use std::sync::Arc;

use fulmen_contracts::ExitCode;
use fulmen_manager::{RunFolder, experiments, find_run, search_runs};
use fulmen_tracking::{Run, RunStatus, SearchRuns, Store, TrackingStore, ViewType, compare, now_ms};
use fulmen_utils::text;
use serde_json::json;

use super::open_store;
use crate::arguments::{RunsArguments, RunsCommand, StoreArguments};
use crate::display::progress::number;
use crate::display::table::{self, Align};
use crate::display::time::{ago, milliseconds};
use crate::embedded;
use crate::error::CliError;
use crate::terminal::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, say, say_json, styled, tell};

/// Lists, shows, compares or deletes runs.
pub(crate) fn run(arguments: RunsArguments) -> Result<ExitCode, CliError> {
    match arguments.command {
        RunsCommand::List { store, filter, order_by, limit, deleted, overrides } => {
            let json = store.json;
            let view = if deleted { ViewType::DeletedOnly } else { ViewType::ActiveOnly };
            list(
                open(&store, &overrides)?.as_ref(),
                SearchRuns { filter, order_by, view, ..SearchRuns::default() },
                limit,
                json,
            )
        }
        RunsCommand::Show { run, store, overrides } => {
            let opened = open(&store, &overrides)?;
            let run = find_run(opened.as_ref(), &run)?;
            if store.json {
                say_json(&run)
            } else {
                show(&run)
            }
            Ok(ExitCode::Success)
        }
        RunsCommand::Compare { runs, store } => {
            let (overrides, runs) = split(runs);
            side_by_side(open(&store, &overrides)?.as_ref(), &runs, store.json)
        }
        RunsCommand::Delete { runs, hard, store } => {
            let (overrides, runs) = split(runs);
            delete(open(&store, &overrides)?.as_ref(), &runs, hard, store.json)
        }
    }
}

/// `key=value` and the rest.
pub(super) fn split(words: Vec<String>) -> (Vec<String>, Vec<String>) {
    words.into_iter().partition(|word| word.contains('='))
}

/// The store that the command line names.
pub(crate) fn open(arguments: &StoreArguments, overrides: &[String]) -> Result<Arc<dyn Store>, CliError> {
    open_store(&embedded::source(&arguments.source)?.compose(overrides)?.resolved)
}

fn list(
    store: &dyn TrackingStore,
    mut search: SearchRuns,
    limit: usize,
    json: bool,
) -> Result<ExitCode, CliError> {
    let experiments = experiments(store)?;
    search.experiment_ids = experiments.iter().map(|experiment| experiment.experiment_id.clone()).collect();
    search.max_results = Some(limit.clamp(1, 1000));
    let runs = search_runs(store, search, limit)?;
    if json {
        say_json(&runs);
        return Ok(ExitCode::Success);
    }
    if runs.is_empty() {
        tell(format!("no runs in {}: start one with {}", store.uri(), styled(CYAN, "fulmen train")));
        return Ok(ExitCode::Success);
    }
    let head = ["run", "name", "status", "model", "dataset", "started", "took", "test", "val/loss"];
    let head: Vec<_> = head
        .iter()
        .map(|title| (*title, if ["took", "val/loss"].contains(title) { Align::Right } else { Align::Left }))
        .collect();
    let rows = runs
        .iter()
        .map(|run| {
            let param = |key: &str| {
                run.data
                    .params
                    .iter()
                    .find(|param| param.key == key)
                    .map_or_else(String::new, |param| param.value.clone())
            };
            let metric = |key: &str| {
                run.data.metrics.iter().find(|metric| metric.key == key).map(|metric| number(metric.value))
            };
            let test = run
                .data
                .metrics
                .iter()
                .find(|metric| metric.key.starts_with("test/") && metric.key != "test/loss");
            vec![
                styled(CYAN, &run.info.run_id[..run.info.run_id.len().min(8)]),
                run.info.run_name.clone(),
                status(run.info.status),
                param("model._target_"),
                param("dataset._target_"),
                ago(run.info.start_time),
                took(run),
                test.map_or_else(String::new, |metric| {
                    format!("{} {}", metric.key.trim_start_matches("test/"), number(metric.value))
                }),
                metric("val/loss").unwrap_or_default(),
            ]
        })
        .collect();
    table::show(&head, rows);
    Ok(ExitCode::Success)
}

fn show(run: &Run) {
    let info = &run.info;
    say(format!("{}  {}  {}", styled(BOLD, &info.run_name), styled(DIM, &info.run_id), status(info.status)));
    say(format!("started {}, took {}", ago(info.start_time), took(run)));
    let folder = RunFolder::of(run)
        .map_or_else(|_| info.artifact_uri.clone(), |folder| folder.path().display().to_string());
    say(format!("folder  {folder}\n"));
    let metrics = run
        .data
        .metrics
        .iter()
        .map(|metric| vec![metric.key.clone(), number(metric.value), metric.step.to_string()])
        .collect();
    table::show(&[("metric", Align::Left), ("latest", Align::Right), ("step", Align::Right)], metrics);
    say("");
    table::pairs("param", run.data.params.iter().map(|param| (&param.key, &param.value)));
    say("");
    table::pairs("tag", run.data.tags.iter().map(|tag| (&tag.key, &tag.value)));
}

fn side_by_side(store: &dyn TrackingStore, wanted: &[String], json: bool) -> Result<ExitCode, CliError> {
    if wanted.len() < 2 {
        return Err(CliError::usage("name two runs or more: `fulmen runs compare <run> <run>`"));
    }
    let ids = wanted
        .iter()
        .map(|name| Ok(find_run(store, name)?.info.run_id))
        .collect::<Result<Vec<_>, CliError>>()?;
    let comparison = compare(store, &ids.iter().map(String::as_str).collect::<Vec<_>>())?;
    if json {
        let params: serde_json::Map<_, _> =
            comparison.params.into_iter().map(|one| (one.key, json!(one.values))).collect();
        let metrics: serde_json::Map<_, _> =
            comparison.metrics.into_iter().map(|one| (one.key, json!(one.values))).collect();
        say_json(&json!({"runs": ids, "params": params, "metrics": metrics}));
        return Ok(ExitCode::Success);
    }
    let names: Vec<String> = comparison.runs.iter().map(|run| run.info.run_name.clone()).collect();
    let rows = [
        table::differences(comparison.params, |value| value),
        table::differences(comparison.metrics, number),
    ];
    table::show_differences("the runs do not differ", &names, rows.concat());
    Ok(ExitCode::Success)
}

fn delete(
    store: &dyn TrackingStore,
    wanted: &[String],
    hard: bool,
    json: bool,
) -> Result<ExitCode, CliError> {
    // All are looked up first: a slip in one name deletes none.
    let runs =
        wanted.iter().map(|name| Ok(find_run(store, name)?)).collect::<Result<Vec<Run>, CliError>>()?;
    for run in &runs {
        let id = &run.info.run_id;
        if run.info.lifecycle_stage == fulmen_tracking::LifecycleStage::Active {
            store.delete_run(id)?;
        }
        if hard {
            if let Ok(folder) = RunFolder::of(run) {
                folder.remove()?;
            }
            store.purge_run(id)?;
        }
        if !json {
            let how = if hard { "removed for good" } else { "deleted" };
            say(format!("{how}  {}  {}", run.info.run_name, styled(DIM, id)));
        }
    }
    if json {
        say_json(
            &json!({"deleted": runs.iter().map(|run| &run.info.run_id).collect::<Vec<_>>(), "hard": hard}),
        );
    }
    Ok(ExitCode::Success)
}

pub(super) fn status(status: RunStatus) -> String {
    let style = match status {
        RunStatus::Finished => GREEN,
        RunStatus::Failed => RED,
        RunStatus::Killed => YELLOW,
        RunStatus::Running | RunStatus::Scheduled => CYAN,
    };
    styled(style, status)
}

fn took(run: &Run) -> String {
    let end = run.info.end_time.unwrap_or_else(now_ms);
    text::clock(milliseconds(end - run.info.start_time))
}
