//! The types of the `hydra` node's values, which Hydra checks and converts.

use crate::error::{Result, fail, nearest};
use crate::value::number::{int_from_decimal, python_int_digits};
use crate::value::{Node, Value, join_key, split_key, str_node};

#[derive(Debug)]
enum Kind {
    Any,
    Str,
    Int,
    Bool,
    /// `RUN` or `MULTIRUN`.
    Mode,
    Optional(&'static Kind),
    List(&'static Kind),
    Dict(&'static Kind),
    /// A mapping with these keys and no others.
    Closed(&'static [(&'static str, Kind)]),
    /// A mapping with these keys and any others.
    Open(&'static [(&'static str, Kind)]),
}

use Kind::{Any, Bool, Closed, Dict, Int, List, Mode, Open, Optional, Str};

static HYDRA: Kind = Closed(&[
    ("mode", Optional(&Mode)),
    ("searchpath", List(&Str)),
    ("run", Closed(&[("dir", Str)])),
    ("sweep", Closed(&[("dir", Str), ("subdir", Str)])),
    ("hydra_logging", Dict(&Any)),
    ("job_logging", Dict(&Any)),
    ("sweeper", Open(&[("max_batch_size", Optional(&Int)), ("params", Optional(&Dict(&Str)))])),
    ("launcher", Any),
    ("callbacks", Dict(&Any)),
    ("help", Closed(&[("app_name", Str), ("header", Str), ("footer", Str), ("template", Str)])),
    ("hydra_help", Closed(&[("hydra_help", Str), ("template", Str)])),
    ("output_subdir", Optional(&Str)),
    ("overrides", Closed(&[("hydra", List(&Str)), ("task", List(&Str))])),
    (
        "job",
        Closed(&[
            ("name", Str),
            ("chdir", Optional(&Bool)),
            ("override_dirname", Str),
            ("id", Str),
            ("num", Int),
            ("config_name", Optional(&Str)),
            ("env_set", Dict(&Str)),
            ("env_copy", List(&Str)),
            (
                "config",
                Closed(&[(
                    "override_dirname",
                    Closed(&[("kv_sep", Str), ("item_sep", Str), ("exclude_keys", List(&Str))]),
                )]),
            ),
        ]),
    ),
    (
        "runtime",
        Closed(&[
            ("version", Str),
            ("version_base", Str),
            ("cwd", Str),
            ("config_sources", List(&Any)),
            ("output_dir", Str),
            ("choices", Dict(&Any)),
        ]),
    ),
    ("verbose", Any),
    // Where the group `hydra/env` lands.
    ("env", Any),
]);

/// Checks a `hydra` node, or a part of one that a config brings, and converts what has a type.
pub(crate) fn conform(hydra: &mut Node) -> Result<()> {
    check(hydra, &HYDRA, "hydra")
}

/// Checks a value that an override puts at a key such as `hydra.run.dir`.
pub(crate) fn conform_at(key: &str, value: &mut Node) -> Result<()> {
    match kind_at(&split_key(key)[1..]) {
        Some(kind) => check(value, kind, key),
        None => Ok(()),
    }
}

/// Refuses to delete what Hydra itself needs.
pub(crate) fn check_deletion(key: &str) -> Result<()> {
    let parts = split_key(key);
    match kind_at(&parts[1..parts.len() - 1]) {
        Some(Closed(_)) => Err(fail!(Type, "'{key}' belongs to Hydra's own settings and cannot be deleted")
            .with_help(format!("set it instead: {key}=VALUE"))),
        _ => Ok(()),
    }
}

/// The kind of the value below `hydra`; `None` where nothing is known of it.
fn kind_at(parts: &[String]) -> Option<&'static Kind> {
    parts.iter().try_fold(&HYDRA, |kind, part| match kind {
        Closed(fields) | Open(fields) => fields.iter().find(|(name, _)| name == part).map(|(_, kind)| kind),
        Dict(inner) | List(inner) | Optional(Dict(inner)) => Some(*inner),
        _ => None,
    })
}

fn check(node: &mut Node, kind: &Kind, path: &str) -> Result<()> {
    if node.is_missing() || node.is_interpolation() || matches!(kind, Any) {
        return Ok(());
    }
    let wrong = |node: &Node, expected: &str| {
        Err(fail!(Type, "'{path}' takes {expected}, not {}", describe(node)).or_at(&node.origin))
    };
    let origin = node.origin.clone();
    match (kind, &mut node.value) {
        (Optional(_), Value::Null) => Ok(()),
        (Optional(inner), _) => check(node, inner, path),
        (Str, Value::Int(_) | Value::BigInt(_) | Value::Float(_) | Value::Bool(_)) => {
            node.value = str_node(node).into();
            Ok(())
        }
        (Str, Value::Str(_)) | (Int, Value::Int(_)) | (Bool, Value::Bool(_)) => Ok(()),
        (Str, _) => wrong(node, "text"),
        (Int, Value::Str(text)) if python_int_digits(text).is_some() => {
            node.value = int_from_decimal(text.trim());
            Ok(())
        }
        (Int, _) => wrong(node, "an integer"),
        (Bool, Value::Int(value)) => {
            node.value = Value::Bool(*value != 0);
            Ok(())
        }
        (Bool, Value::Str(text)) => {
            node.value = Value::Bool(match text.to_ascii_lowercase().as_str() {
                "yes" | "y" | "on" | "true" | "1" => true,
                "no" | "n" | "off" | "false" | "0" => false,
                _ => return wrong(node, "true or false"),
            });
            Ok(())
        }
        (Bool, _) => wrong(node, "true or false"),
        (Mode, Value::Str(text)) if matches!(text.trim_start_matches("RunMode."), "RUN" | "MULTIRUN") => {
            node.value = text.trim_start_matches("RunMode.").into();
            Ok(())
        }
        (Mode, Value::Int(value @ 1..=2)) => {
            node.value = if *value == 1 { "RUN".into() } else { "MULTIRUN".into() };
            Ok(())
        }
        (Mode, _) => wrong(node, "RUN or MULTIRUN"),
        (List(inner), Value::List(items)) => items.iter_mut().try_for_each(|item| check(item, inner, path)),
        (List(_), _) => wrong(node, "a list"),
        (Dict(inner), Value::Map(map)) => {
            map.iter_mut().try_for_each(|(key, item)| check(item, inner, &join_key(path, key, false)))
        }
        (Closed(fields) | Open(fields), Value::Map(map)) => {
            for (key, item) in map.iter_mut() {
                let full = join_key(path, key, false);
                let field = fields.iter().find(|(name, _)| key.as_str() == Some(name));
                match field {
                    Some((_, kind)) => check(item, kind, &full)?,
                    None if matches!(kind, Open(_)) => {}
                    None => {
                        let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
                        let error = fail!(UnknownKey, "no key '{full}': '{path}' has {}", names.join(", "));
                        let error = match nearest(&key.to_string(), names.iter().copied()) {
                            Some(near) => error.with_help(format!("did you mean '{path}.{near}'?")),
                            None => error,
                        };
                        return Err(error.or_at(&item.origin).or_at(&origin));
                    }
                }
            }
            Ok(())
        }
        (Open(_), _) => Ok(()),
        (Dict(_) | Closed(_), _) => wrong(node, "a mapping"),
        (Any, _) => Ok(()),
    }
}

fn describe(node: &Node) -> String {
    match &node.value {
        Value::Str(text) => format!("'{text}'"),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => str_node(node),
        _ => node.type_name().to_owned(),
    }
}
