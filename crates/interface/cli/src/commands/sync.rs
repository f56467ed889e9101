//! `fulmen sync`: what killed runs have left in their journals, and artifacts that are not where they should be.

use fulmen_contracts::ExitCode;
use fulmen_manager::{RunFolder, Uploads, experiments, search_runs};
use fulmen_tracking::{SearchRuns, sync};
use fulmen_utils::text;
use serde_json::json;

use super::runs;
use crate::arguments::StoreArguments;
use crate::error::CliError;
use crate::terminal::{BOLD, DIM, RED, say, say_json, styled, tell};

/// Delivers every journal that is left behind, run by run.
pub(crate) fn run(arguments: &StoreArguments, overrides: &[String]) -> Result<ExitCode, CliError> {
    let store = runs::open(arguments, overrides)?;
    let experiment_ids =
        experiments(store.as_ref())?.into_iter().map(|experiment| experiment.experiment_id).collect();
    let all =
        search_runs(store.as_ref(), SearchRuns { experiment_ids, ..SearchRuns::default() }, usize::MAX)?;
    let (mut delivered, mut failed) = (Vec::new(), Vec::new());
    for run in all {
        let Ok(folder) = RunFolder::of(&run) else { continue };
        match Uploads::left_behind(store.as_ref(), &run, &folder) {
            Ok(None) => {}
            Ok(Some(uploads)) => {
                let report = uploads.finish(|name, bytes| {
                    tell(format!("{}  {name}  {}", run.info.run_name, styled(DIM, text::bytes(bytes))));
                })?;
                match report.last_error {
                    None => delivered.push(run.info.run_id.clone()),
                    Some(error) => {
                        tell(format!("{}  {}: {error}", run.info.run_name, styled(RED, "not brought")));
                        failed.push(run.info.run_id.clone());
                    }
                }
            }
            Err(error) => {
                tell(format!("{}  {}: {error}", run.info.run_name, styled(RED, "not brought")));
                failed.push(run.info.run_id.clone());
            }
        }
        let journal = folder.journal();
        if !journal.is_file() {
            continue;
        }
        match sync(&journal, store.as_ref()) {
            Ok(report) => {
                if !arguments.json {
                    say(format!(
                        "{}  {} records delivered",
                        styled(BOLD, &run.info.run_name),
                        report.delivered
                    ));
                }
                delivered.push(run.info.run_id);
            }
            // One run's trouble, such as that it is still running, is not the others'.
            Err(error) => {
                tell(format!("{}  {}: {error}", run.info.run_name, styled(RED, "not delivered")));
                failed.push(run.info.run_id);
            }
        }
    }
    delivered.dedup();
    failed.dedup();
    if arguments.json {
        say_json(&json!({"delivered": delivered, "failed": failed}));
    } else if delivered.is_empty() && failed.is_empty() {
        tell("nothing is left behind");
    }
    Ok(if failed.is_empty() { ExitCode::Success } else { ExitCode::Failure })
}
