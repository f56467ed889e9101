//! `fulmen models`: the model registry.

mod diff;
mod find;
mod lineage;
mod register;

use fulmen_contracts::ExitCode;
use fulmen_tracking::{ModelVersion, RegisteredModel, SearchRegistry, Stage, Store};
use serde_json::json;

use self::find::{model, models, version, versions};
use super::runs::open;
use crate::arguments::{ModelsArguments, ModelsCommand, PlaceArguments, SearchArguments};
use crate::display::table::{self, Align};
use crate::display::time::ago;
use crate::error::CliError;
use crate::terminal::{BOLD, CYAN, DIM, GREEN, YELLOW, say, say_json, styled, tell};

/// Lists, shows, registers, marks, compares or deletes models and versions.
pub(crate) fn run(arguments: ModelsArguments) -> Result<ExitCode, CliError> {
    match arguments.command {
        ModelsCommand::List { search, place } => list(&search, &place)?,
        ModelsCommand::Show { name, place } => show(&name, &place)?,
        ModelsCommand::Register { run, name, description, tag, place } => {
            register::run(&run, &name, description, &tag, &place)?;
        }
        ModelsCommand::Versions { name, search, place } => list_versions(&name, &search, &place)?,
        ModelsCommand::Alias { name, alias, version: Some(wanted), delete: _, place } => {
            let store = opened(&place)?;
            let number = version(store.as_ref(), &name, &wanted)?.version;
            store.set_alias(&name, &alias, number)?;
            done("aliased", &store.model_version(&name, number)?, place.store.json);
        }
        ModelsCommand::Alias { name, alias, version: None, delete: _, place } => {
            let store = opened(&place)?;
            let number = version(store.as_ref(), &name, &alias)?.version;
            store.delete_alias(&name, &alias)?;
            done("alias removed from", &store.model_version(&name, number)?, place.store.json);
        }
        ModelsCommand::Promote { name, version, to, archive, alias, place } => {
            promote(&name, &version, to.as_deref(), archive, alias.as_deref(), &place)?;
        }
        ModelsCommand::Diff { name, left, right, place } => diff::run(&name, &left, &right, &place)?,
        ModelsCommand::Lineage { name, version, place } => lineage::run(&name, &version, &place)?,
        ModelsCommand::Delete { name, version, all, place } => delete(&name, &version, all, &place)?,
    }
    Ok(ExitCode::Success)
}

fn opened(place: &PlaceArguments) -> Result<std::sync::Arc<dyn Store>, CliError> {
    open(&place.store, &place.overrides)
}

fn search_of(arguments: &SearchArguments, filter: String) -> SearchRegistry {
    SearchRegistry {
        filter,
        order_by: arguments.order_by.clone(),
        max_results: Some(arguments.limit.clamp(1, 1000)),
        page_token: None,
    }
}

fn list(arguments: &SearchArguments, place: &PlaceArguments) -> Result<(), CliError> {
    let store = opened(place)?;
    let found = models(store.as_ref(), search_of(arguments, arguments.filter.clone()), arguments.limit)?;
    if place.store.json {
        say_json(&found);
        return Ok(());
    }
    if found.is_empty() {
        let command = styled(CYAN, "fulmen models register <run> <name>");
        tell(format!("no such models in {}: register one with {command}", store.uri()));
        return Ok(());
    }
    let rows = found.iter().map(|model| {
        let newest = model.latest_versions.iter().map(|version| version.version).max();
        vec![
            styled(CYAN, &model.name),
            newest.map_or_else(String::new, |newest| newest.to_string()),
            aliases(model),
            ago(model.last_updated_timestamp),
            model.description.clone().unwrap_or_default(),
        ]
    });
    let head = [
        ("name", Align::Left),
        ("newest", Align::Right),
        ("aliases", Align::Left),
        ("changed", Align::Left),
        ("description", Align::Left),
    ];
    table::show(&head, rows.collect());
    Ok(())
}

fn aliases(model: &RegisteredModel) -> String {
    let shown = model.aliases.iter().map(|alias| format!("{} → {}", alias.alias, alias.version));
    shown.collect::<Vec<_>>().join(", ")
}

fn show(name: &str, place: &PlaceArguments) -> Result<(), CliError> {
    let store = opened(place)?;
    let model = model(store.as_ref(), name)?;
    if place.store.json {
        say_json(&model);
        return Ok(());
    }
    say(styled(BOLD, &model.name));
    if let Some(description) = model.description.as_ref().filter(|text| !text.is_empty()) {
        say(description);
    }
    say(format!(
        "created {}, changed {}\n",
        ago(model.creation_timestamp),
        ago(model.last_updated_timestamp)
    ));
    table_of_versions(&versions(store.as_ref(), name, SearchRegistry::default(), 20)?);
    say("");
    table::pairs("tag", model.tags.iter().map(|tag| (&tag.key, &tag.value)));
    Ok(())
}

fn list_versions(name: &str, search: &SearchArguments, place: &PlaceArguments) -> Result<(), CliError> {
    let store = opened(place)?;
    model(store.as_ref(), name)?;
    let found = versions(store.as_ref(), name, search_of(search, search.filter.clone()), search.limit)?;
    if place.store.json {
        say_json(&found);
    } else if found.is_empty() {
        tell(format!("{name} has no such versions"));
    } else {
        table_of_versions(&found);
    }
    Ok(())
}

fn table_of_versions(versions: &[ModelVersion]) {
    let rows = versions.iter().map(|version| {
        vec![
            version.version.to_string(),
            stage(version.current_stage),
            version.aliases.join(", "),
            version.run_id.as_ref().map_or_else(String::new, |id| styled(CYAN, id.get(..8).unwrap_or(id))),
            ago(version.creation_timestamp),
            version.source.clone(),
        ]
    });
    let head = [
        ("version", Align::Right),
        ("stage", Align::Left),
        ("aliases", Align::Left),
        ("run", Align::Left),
        ("created", Align::Left),
        ("source", Align::Left),
    ];
    table::show(&head, rows.collect());
}

/// A stage as tables show it.
fn stage(stage: Stage) -> String {
    match stage {
        Stage::None => String::new(),
        Stage::Production => styled(GREEN, stage),
        Stage::Staging => styled(YELLOW, stage),
        Stage::Archived => styled(DIM, stage),
    }
}

fn promote(
    name: &str,
    wanted: &str,
    to: Option<&str>,
    archive: bool,
    alias: Option<&str>,
    place: &PlaceArguments,
) -> Result<(), CliError> {
    // Read first: a slip in one changes nothing.
    let stage = to.map(str::parse::<Stage>).transpose()?;
    let store = opened(place)?;
    let number = version(store.as_ref(), name, wanted)?.version;
    if let Some(alias) = alias {
        store.set_alias(name, alias, number)?;
    }
    if let Some(stage) = stage {
        store.transition_stage(name, number, stage, archive)?;
    }
    done("promoted", &store.model_version(name, number)?, place.store.json);
    Ok(())
}

fn delete(name: &str, wanted: &[String], all: bool, place: &PlaceArguments) -> Result<(), CliError> {
    let store = opened(place)?;
    model(store.as_ref(), name)?;
    if all {
        store.delete_registered_model(name)?;
        if place.store.json {
            say_json(&json!({"deleted": name}));
        } else {
            say(format!("deleted  {name}"));
        }
        return Ok(());
    }
    // All are looked up first: a slip in one deletes none.
    let found = wanted.iter().map(|wanted| version(store.as_ref(), name, wanted));
    for version in found.collect::<Result<Vec<_>, _>>()? {
        store.delete_model_version(name, version.version)?;
        done("deleted", &version, place.store.json);
    }
    Ok(())
}

fn done(what: &str, version: &ModelVersion, json: bool) {
    if json {
        say_json(version);
        return;
    }
    let mut marks = vec![stage(version.current_stage)];
    marks.extend(version.aliases.iter().map(|alias| styled(CYAN, alias)));
    marks.retain(|mark| !mark.is_empty());
    say(format!("{what}  {} version {}  {}", version.name, version.version, marks.join(" ")).trim_end());
}
