//! Runs by what people call them.

use fulmen_tracking::{Experiment, Run, SearchExperiments, SearchRuns, TrackingError, TrackingStore};
use fulmen_utils::nearest;

use crate::ManagerError;

/// All experiments that are not deleted.
///
/// # Errors
/// When the store does not answer.
pub fn experiments(store: &dyn TrackingStore) -> Result<Vec<Experiment>, TrackingError> {
    let mut search = SearchExperiments::default();
    let mut all = Vec::new();
    loop {
        let page = store.search_experiments(&search)?;
        all.extend(page.items);
        match page.next_page_token {
            Some(token) => search.page_token = Some(token),
            None => return Ok(all),
        }
    }
}

/// All runs that `search` finds, over all its pages.
///
/// # Errors
/// When the filter or the order cannot be read, or the store does not answer.
pub fn search_runs(
    store: &dyn TrackingStore,
    mut search: SearchRuns,
    limit: usize,
) -> Result<Vec<Run>, TrackingError> {
    let mut all = Vec::new();
    loop {
        let page = store.search_runs(&search)?;
        all.extend(page.items);
        match page.next_page_token {
            Some(token) if all.len() < limit => search.page_token = Some(token),
            _ => {
                all.truncate(limit);
                return Ok(all);
            }
        }
    }
}

/// The run of this id, of the only id that begins so (four digits or more), or of this name.
///
/// # Errors
/// When there is none, or more than one.
pub fn find_run(store: &dyn TrackingStore, wanted: &str) -> Result<Run, ManagerError> {
    if let Ok(run) = store.run(wanted) {
        return Ok(run);
    }
    let experiment_ids = experiments(store)?.into_iter().map(|experiment| experiment.experiment_id).collect();
    let known = search_runs(store, SearchRuns { experiment_ids, ..SearchRuns::default() }, usize::MAX)?;
    let by_id = |run: &&Run| wanted.len() >= 4 && run.info.run_id.starts_with(wanted);
    let mut found: Vec<&Run> = known.iter().filter(|run| run.info.run_name == wanted || by_id(run)).collect();
    match found.len() {
        1 => Ok(found.remove(0).clone()),
        0 => {
            let names = known.iter().flat_map(|run| [run.info.run_name.as_str(), run.info.run_id.as_str()]);
            let hint = nearest::hint(wanted, names);
            Err(ManagerError::NoRun(format!("there is no run '{wanted}'{hint}: see `fulmen runs list`")))
        }
        many => {
            let ids: Vec<_> = found.iter().map(|run| run.info.run_id.as_str()).collect();
            Err(ManagerError::NoRun(format!(
                "{many} runs go by '{wanted}': give more of the id; they are {}",
                ids.join(", ")
            )))
        }
    }
}
