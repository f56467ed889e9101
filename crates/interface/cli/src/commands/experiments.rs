//! `fulmen experiments`: groups of runs.

use fulmen_contracts::ExitCode;
use fulmen_manager::search_runs;
use fulmen_tracking::{
    Experiment, LifecycleStage, NewExperiment, SearchExperiments, SearchRuns, Store, Tag, TrackingStore,
    ViewType,
};
use fulmen_utils::nearest;
use serde_json::json;

use super::runs::{open, split};
use crate::arguments::{ExperimentsArguments, ExperimentsCommand, PlaceArguments, SearchArguments};
use crate::display::table::{self, Align};
use crate::display::time::ago;
use crate::error::CliError;
use crate::terminal::{BOLD, CYAN, DIM, YELLOW, say, say_json, styled, tell};

/// Lists, shows, creates, changes or deletes experiments.
pub(crate) fn run(arguments: ExperimentsArguments) -> Result<ExitCode, CliError> {
    match arguments.command {
        ExperimentsCommand::List { search, deleted, place } => list(&search, deleted, &place)?,
        ExperimentsCommand::Show { experiment, place } => show(&experiment, &place)?,
        ExperimentsCommand::Create { name, artifact_location, tag, place } => {
            let tags = tags(&tag)?;
            let store = open(&place.store, &place.overrides)?;
            let created = store.create_experiment(&NewExperiment { name, artifact_location, tags })?;
            done("created", &created, place.store.json);
        }
        ExperimentsCommand::Rename { experiment, name, place } => {
            change(&experiment, &place, "renamed", |store, id| store.rename_experiment(id, &name))?;
        }
        ExperimentsCommand::SetTag { experiment, key, value, place } => {
            let tag = Tag { key, value };
            change(&experiment, &place, "tagged", |store, id| store.set_experiment_tag(id, &tag))?;
        }
        ExperimentsCommand::DeleteTag { experiment, key, place } => {
            change(&experiment, &place, "untagged", |store, id| store.delete_experiment_tag(id, &key))?;
        }
        ExperimentsCommand::Delete { experiments, store } => {
            let (overrides, names) = split(experiments);
            let place = PlaceArguments { store, overrides };
            change_all(&names, &place, "deleted", |store, id| store.delete_experiment(id))?;
        }
        ExperimentsCommand::Restore { experiments, store } => {
            let (overrides, names) = split(experiments);
            let place = PlaceArguments { store, overrides };
            change_all(&names, &place, "restored", |store, id| store.restore_experiment(id))?;
        }
    }
    Ok(ExitCode::Success)
}

/// `key=value` as tags.
pub(super) fn tags(words: &[String]) -> Result<Vec<Tag>, CliError> {
    let tag = |word: &String| match word.split_once('=') {
        Some((key, value)) => Ok(Tag::new(key, value)),
        None => Err(CliError::usage(format!("--tag {word}: write it as --tag key=value"))),
    };
    words.iter().map(tag).collect()
}

fn list(search: &SearchArguments, deleted: bool, place: &PlaceArguments) -> Result<(), CliError> {
    let store = open(&place.store, &place.overrides)?;
    let view = if deleted { ViewType::DeletedOnly } else { ViewType::ActiveOnly };
    let found = find_all(
        store.as_ref(),
        SearchExperiments {
            filter: search.filter.clone(),
            order_by: search.order_by.clone(),
            view,
            max_results: Some(search.limit.clamp(1, 1000)),
            page_token: None,
        },
        search.limit,
    )?;
    if place.store.json {
        say_json(&found);
        return Ok(());
    }
    if found.is_empty() {
        tell(format!("no such experiments in {}", store.uri()));
        return Ok(());
    }
    let rows = found.iter().map(|experiment| {
        vec![
            styled(CYAN, &experiment.experiment_id),
            experiment.name.clone(),
            ago(experiment.creation_time),
            ago(experiment.last_update_time),
            experiment.artifact_location.clone(),
        ]
    });
    let head = ["id", "name", "created", "changed", "artifacts"].map(|title| (title, Align::Left));
    table::show(&head, rows.collect());
    Ok(())
}

fn show(wanted: &str, place: &PlaceArguments) -> Result<(), CliError> {
    let store = open(&place.store, &place.overrides)?;
    let experiment = find(store.as_ref(), wanted)?;
    let search = SearchRuns {
        experiment_ids: vec![experiment.experiment_id.clone()],
        view: ViewType::All,
        ..SearchRuns::default()
    };
    let runs = search_runs(store.as_ref(), search, usize::MAX)?.len();
    if place.store.json {
        let mut shown = json!(experiment);
        shown["runs"] = json!(runs);
        say_json(&shown);
        return Ok(());
    }
    let deleted = experiment.lifecycle_stage == LifecycleStage::Deleted;
    let mark = if deleted { styled(YELLOW, "  deleted") } else { String::new() };
    say(format!("{}  {}{mark}", styled(BOLD, &experiment.name), styled(DIM, &experiment.experiment_id)));
    say(format!("created {}, changed {}", ago(experiment.creation_time), ago(experiment.last_update_time)));
    say(format!("runs       {runs}\nartifacts  {}\n", experiment.artifact_location));
    table::pairs("tag", experiment.tags.iter().map(|tag| (&tag.key, &tag.value)));
    Ok(())
}

fn change(
    wanted: &str,
    place: &PlaceArguments,
    what: &str,
    change: impl Fn(&dyn Store, &str) -> Result<(), fulmen_tracking::TrackingError>,
) -> Result<(), CliError> {
    change_all(&[wanted.to_owned()], place, what, change)
}

fn change_all(
    wanted: &[String],
    place: &PlaceArguments,
    what: &str,
    change: impl Fn(&dyn Store, &str) -> Result<(), fulmen_tracking::TrackingError>,
) -> Result<(), CliError> {
    let store = open(&place.store, &place.overrides)?;
    // All are looked up first: a slip in one name changes none.
    let found = wanted.iter().map(|name| find(store.as_ref(), name)).collect::<Result<Vec<_>, _>>()?;
    for experiment in found {
        change(store.as_ref(), &experiment.experiment_id)?;
        done(what, &store.experiment(&experiment.experiment_id)?, place.store.json);
    }
    Ok(())
}

fn done(what: &str, experiment: &Experiment, json: bool) {
    if json {
        say_json(experiment);
    } else {
        say(format!("{what}  {}  {}", experiment.name, styled(DIM, &experiment.experiment_id)));
    }
}

/// The experiment with this id or name, deleted or not.
fn find(store: &dyn TrackingStore, wanted: &str) -> Result<Experiment, CliError> {
    if let Ok(experiment) = store.experiment(wanted) {
        return Ok(experiment);
    }
    if let Some(experiment) = store.experiment_by_name(wanted)? {
        return Ok(experiment);
    }
    let all = SearchExperiments { view: ViewType::All, ..SearchExperiments::default() };
    let known = find_all(store, all, usize::MAX)?;
    let hint = nearest::hint(wanted, known.iter().map(|experiment| experiment.name.as_str()));
    Err(CliError::usage(format!("there is no experiment '{wanted}'{hint}: see `fulmen experiments list`")))
}

/// All experiments that are found, over all pages.
fn find_all(
    store: &dyn TrackingStore,
    mut search: SearchExperiments,
    limit: usize,
) -> Result<Vec<Experiment>, CliError> {
    let mut all = Vec::new();
    loop {
        let page = store.search_experiments(&search)?;
        all.extend(page.items);
        search.page_token = page.next_page_token;
        if search.page_token.is_none() || all.len() >= limit {
            all.truncate(limit);
            return Ok(all);
        }
    }
}
