//! `fulmen components`: what a config can name.

use fulmen_contracts::{ComponentInfo, ExitCode};
use fulmen_manager::Worker;
use fulmen_utils::nearest;
use serde_json::Value;

use crate::arguments::{ComponentsArguments, ComponentsCommand};
use crate::display::table::{self, Align};
use crate::error::CliError;
use crate::terminal::{BOLD, CYAN, DIM, say, say_json, styled};

/// Lists components, or shows one.
pub(crate) fn run(arguments: ComponentsArguments) -> Result<ExitCode, CliError> {
    let catalog = Worker::find()?.catalog()?;
    match arguments.command {
        ComponentsCommand::List { kind, json } => {
            if let Some(kind) = kind.as_deref().filter(|kind| !catalog.kinds().contains(kind)) {
                let hint = nearest::hint(kind, catalog.kinds());
                return Err(CliError::usage(format!(
                    "there is no kind '{kind}'{hint}; there are {}",
                    catalog.kinds().join(", ")
                )));
            }
            let shown: Vec<_> = catalog
                .components
                .iter()
                .filter(|one| kind.as_deref().is_none_or(|kind| one.kind == kind))
                .collect();
            if json {
                say_json(&shown);
            } else {
                let rows = shown
                    .iter()
                    .map(|one| {
                        vec![one.kind.clone(), styled(CYAN, &one.name), first_sentence(&one.description)]
                    })
                    .collect();
                table::show(
                    &[("kind", Align::Left), ("_target_", Align::Left), ("what it is", Align::Left)],
                    rows,
                );
            }
        }
        ComponentsCommand::Show { name, json } => {
            let found: Vec<_> = catalog.components.iter().filter(|one| one.name == name).collect();
            if found.is_empty() {
                let hint = nearest::hint(&name, catalog.components.iter().map(|one| one.name.as_str()));
                return Err(CliError::usage(format!(
                    "no component is called '{name}'{hint}: see `fulmen components list`"
                )));
            }
            for component in found {
                if json { say_json(component) } else { show(component) }
            }
        }
    }
    Ok(ExitCode::Success)
}

fn show(component: &ComponentInfo) {
    let ComponentInfo { kind, name, provider, description, schema } = component;
    say(format!("{} {}", styled(BOLD, name), styled(DIM, format!("{kind}, from {provider}"))));
    say(format!("\n{description}\n"));
    let root = schema.as_value();
    let Some(fields) =
        schema.get("properties").and_then(Value::as_object).filter(|fields| !fields.is_empty())
    else {
        return say("It has no settings.");
    };
    let required: Vec<_> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let rows = fields
        .iter()
        .map(|(name, field)| {
            let default = match field.get("default") {
                Some(default) => default.to_string(),
                None if required.contains(&name.as_str()) => "(required)".to_owned(),
                None => "null".to_owned(),
            };
            let text =
                field.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
            vec![styled(CYAN, name), type_name(field, root), default, text]
        })
        .collect();
    table::show(
        &[
            ("setting", Align::Left),
            ("type", Align::Left),
            ("default", Align::Left),
            ("what it sets", Align::Left),
        ],
        rows,
    );
}

/// The type of a setting as people say it.
fn type_name(field: &Value, root: &Value) -> String {
    let followed = field
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| root.pointer(reference.strip_prefix('#')?));
    let field = followed.unwrap_or(field);
    if let Some(kind) = field.get("x-component").and_then(Value::as_str) {
        return format!("a {kind}");
    }
    if let Some(choices) = field.get("enum").and_then(Value::as_array) {
        return choices
            .iter()
            .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(" | ");
    }
    if let Some(alternatives) = field.get("oneOf").or_else(|| field.get("anyOf")).and_then(Value::as_array) {
        return alternatives.iter().map(|one| type_name(one, root)).collect::<Vec<_>>().join(" | ");
    }
    if let Some(constant) = field.get("const") {
        return constant.as_str().map_or_else(|| constant.to_string(), str::to_owned);
    }
    match field.get("type") {
        Some(Value::String(name)) if name == "array" => field
            .get("items")
            .map_or_else(|| "list".to_owned(), |items| format!("list of {}", type_name(items, root))),
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | "),
        _ => "any".to_owned(),
    }
}

fn first_sentence(text: &str) -> String {
    let text = text.replace('\n', " ");
    match text.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => text,
    }
}
