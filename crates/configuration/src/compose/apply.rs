//! Applies the overrides of values to the composed tree.

use crate::error::{ConfigError, Result, fail};
use crate::hydra;
use crate::interpolation::{Cursor, Evaluator, Resolvers, Selected, Target, check_syntax};
use crate::merge::{Update, delete, update};
use crate::origin::Origin;
use crate::overrides::{Override, OverrideKind};
use crate::value::number::as_float;
use crate::value::{Key, Node, Value, str_node};

pub(super) fn apply(whole: &mut Node, item: &Override, index: usize, resolvers: &Resolvers) -> Result<()> {
    let origin = Origin::Override { index, text: item.text.clone(), column: 1 };
    apply_at(whole, item, &origin, resolvers).map_err(|error| error.or_at(&origin))
}

fn apply_at(whole: &mut Node, item: &Override, origin: &Origin, resolvers: &Resolvers) -> Result<()> {
    if item.package.is_some() {
        return Err(fail!(GroupNotFound, "no config group '{}', and only a group takes a package", item.key));
    }
    let key = item.key.as_str();
    if item.kind == OverrideKind::Delete {
        return delete_value(whole, item, origin, resolvers);
    }
    let Some(element) = &item.value else { return Ok(()) };
    let column = item.text.find('=').map_or(1, |at| item.text[..at].chars().count() + 2);
    let value_origin = origin.at_column(u32::try_from(column).unwrap_or(1));
    let mut value = element.to_node(&value_origin)?;
    check_value(&value)?;
    let adds = item.kind != OverrideKind::Change;
    if key.starts_with("hydra.") {
        hydra::conform_at(key, &mut value)?;
    }
    if item.kind == OverrideKind::Add && !value.is_container() && selected(whole, key, resolvers)?.is_some() {
        let plain = &item.text[1..];
        return Err(fail!(AppendExists, "'{key}' is there already")
            .with_help(format!("write {plain} to change it, or +{} to add or change", item.text)));
    }
    let mode = Update { merge: true, force_add: adds };
    update(whole, key, value, mode, resolvers).map_err(|error| match error {
        ConfigError::UnknownKey(_) if !adds => match error.help() {
            Some(near) => {
                let help = format!("{near} To add it, write +{}", item.text);
                replace_help(error, help)
            }
            None => error.with_help(format!("to add it, write +{}", item.text)),
        },
        other => other,
    })
}

fn replace_help(error: ConfigError, help: String) -> ConfigError {
    let ConfigError::UnknownKey(mut report) = error else { return error };
    report.help = Some(help);
    ConfigError::UnknownKey(report)
}

/// Every interpolation in the value must be well formed.
fn check_value(node: &Node) -> Result<()> {
    match &node.value {
        Value::Str(text) => check_syntax(text).map_err(|error| error.or_at(&node.origin)),
        Value::Map(map) => map.values().try_for_each(check_value),
        Value::List(items) => items.iter().try_for_each(check_value),
        _ => Ok(()),
    }
}

/// The resolved value at a key; `None` if it is not there, null or `???`.
fn selected(whole: &Node, key: &str, resolvers: &Resolvers) -> Result<Option<Node>> {
    let evaluator = Evaluator::new(resolvers, Some(whole));
    let found = match evaluator.select_from(&Cursor::root(whole), key, false)? {
        Selected::Found(target) => target.node().clone(),
        _ => return Ok(None),
    };
    Ok((!found.is_missing() && !found.is_null()).then_some(found))
}

fn delete_value(whole: &mut Node, item: &Override, origin: &Origin, resolvers: &Resolvers) -> Result<()> {
    let key = item.key.as_str();
    let Some(found) = selected(whole, key, resolvers)? else {
        let error = fail!(DeleteNoMatch, "nothing to delete: no key '{key}'");
        return Err(match parent_keys(whole, key) {
            Some(keys) => error.with_help(format!("there are {keys}")),
            None => error,
        });
    };
    if let Some(element) = &item.value {
        let expected = element.to_node(origin)?;
        if !expected.is_null() && !python_equal(&found, &expected) {
            return Err(fail!(
                DeleteNoMatch,
                "'{key}' is {} and not {}",
                str_node(&found),
                str_node(&expected)
            )
            .with_help(format!("to delete it whatever it is, write ~{key}")));
        }
    }
    if key.starts_with("hydra.") {
        hydra::check_deletion(key)?;
    }
    // The container may be reached through an interpolation; the key is then deleted where it really is.
    match real_key(whole, key, resolvers)? {
        Some(key) => delete(whole, &key, true),
        None => Ok(()),
    }
}

/// The key with its container's own path; `None` if the container is made by a resolver.
fn real_key(whole: &Node, key: &str, resolvers: &Resolvers) -> Result<Option<String>> {
    let Some((parent, last)) = key.rsplit_once('.') else { return Ok(Some(key.to_owned())) };
    let evaluator = Evaluator::new(resolvers, Some(whole));
    let Selected::Found(Target::Place(place)) = evaluator.select_from(&Cursor::root(whole), parent, false)?
    else {
        return Ok(None);
    };
    Ok(place
        .path()
        .map(|keys| keys.iter().chain([&last.into()]).map(Key::to_string).collect::<Vec<_>>().join(".")))
}

fn parent_keys(whole: &Node, key: &str) -> Option<String> {
    let parent = match key.rsplit_once('.') {
        Some((parent, _)) => whole.select(parent)?,
        None => whole,
    };
    let keys: Vec<_> =
        parent.as_map()?.keys().filter_map(|key| key.as_str()).filter(|key| *key != "hydra").collect();
    (!keys.is_empty() && keys.len() <= 12).then(|| keys.join(", "))
}

/// Python's `==`: numbers and booleans compare by value.
fn python_equal(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| python_equal(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| python_equal(a, b)))
        }
        (Value::Int(a), Value::Int(b)) => a == b,
        (a, b) => match (as_float(a), as_float(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}
