//! `fulmen sync`: what killed runs have left in their journals, and artifacts that are not where they should be.

use fulmen_contracts::ExitCode;
use fulmen_manager::{RunFolder, Uploads, encrypt_left_behind, experiments, is_left_in_clear, search_runs};
use fulmen_runner::{run_encryption, saved};
use fulmen_tracking::{Run, SearchRuns, Store, sync};
use fulmen_utils::text;
use serde_json::json;

use super::runs;
use crate::arguments::StoreArguments;
use crate::error::CliError;
use crate::terminal::{BOLD, DIM, RED, say, say_json, styled, tell};

/// Delivers what is left behind, run by run.
pub(crate) fn run(arguments: &StoreArguments, overrides: &[String]) -> Result<ExitCode, CliError> {
    let store = runs::open(arguments, overrides)?;
    let experiment_ids =
        experiments(store.as_ref())?.into_iter().map(|experiment| experiment.experiment_id).collect();
    let all =
        search_runs(store.as_ref(), SearchRuns { experiment_ids, ..SearchRuns::default() }, usize::MAX)?;
    let (mut delivered, mut failed) = (Vec::new(), Vec::new());
    for run in all {
        let Ok(folder) = RunFolder::of(&run) else { continue };
        let parts = [
            // First: what is to be encrypted goes nowhere before it is.
            ("not encrypted", encrypt(&run, &folder)),
            ("not brought", bring(store.as_ref(), &run, &folder)),
            ("not delivered", deliver(store.as_ref(), &run, &folder, arguments.json)),
        ];
        let (mut is_delivered, mut has_failed) = (false, false);
        for (what, part) in parts {
            match part {
                Ok(was_there) => is_delivered |= was_there,
                // One run's trouble, such as that it is still running, is not the others'.
                Err(error) => {
                    tell(format!("{}  {}: {error}", run.info.run_name, styled(RED, what)));
                    has_failed = true;
                }
            }
        }
        let id = run.info.run_id;
        delivered.extend(is_delivered.then(|| id.clone()));
        failed.extend(has_failed.then_some(id));
    }
    if arguments.json {
        say_json(&json!({"delivered": delivered, "failed": failed}));
    } else if delivered.is_empty() && failed.is_empty() {
        tell("nothing is left behind");
    }
    Ok(if failed.is_empty() { ExitCode::Success } else { ExitCode::Failure })
}

/// Encrypts artifacts of a run whose own process could not. False: there are none.
fn encrypt(run: &Run, folder: &RunFolder) -> Result<bool, String> {
    if !is_left_in_clear(folder, run).map_err(|error| error.to_string())? {
        return Ok(false);
    }
    let composed = saved(folder, &[]).map_err(|error| error.to_string())?;
    let encryption = run_encryption(&composed.resolved).map_err(|error| error.to_string())?;
    let Some(encryption) = encryption else {
        return Err("its configuration does not say where the keys are".to_owned());
    };
    let files = encrypt_left_behind(folder, run, &encryption).map_err(|error| error.to_string())?;
    tell(format!("{}  {files} files encrypted", run.info.run_name));
    Ok(true)
}

/// Brings artifacts of a run that are only in its folder yet. False: there are none.
fn bring(store: &dyn Store, run: &Run, folder: &RunFolder) -> Result<bool, String> {
    let left_behind = Uploads::left_behind(store, run, folder).map_err(|error| error.to_string())?;
    let Some(uploads) = left_behind else { return Ok(false) };
    let told = uploads.finish(|name, bytes| {
        tell(format!("{}  {name}  {}", run.info.run_name, styled(DIM, text::bytes(bytes))));
    });
    told.map_err(|error| error.to_string())?.last_error.map_or(Ok(true), Err)
}

/// Delivers a run's journal. False: there is none.
fn deliver(store: &dyn Store, run: &Run, folder: &RunFolder, json: bool) -> Result<bool, String> {
    let journal = folder.journal();
    if !journal.is_file() {
        return Ok(false);
    }
    let report = sync(&journal, store).map_err(|error| error.to_string())?;
    if !json {
        say(format!("{}  {} records delivered", styled(BOLD, &run.info.run_name), report.delivered));
    }
    Ok(true)
}
