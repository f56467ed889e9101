//! Cases that parse one override.

use serde_json::{Value as Json, json};

use super::{encode, failure};
use crate::error::ConfigError;
use crate::overrides::{Element, Override, OverrideKind, Quote, Sweep};
use crate::value::Value;

/// Values up to which a sweep is written out whole.
const LISTED_VALUES: usize = 64;

pub(super) fn parse(case: &Json) -> Json {
    match Override::parse(case["input"].as_str().unwrap_or_default()) {
        Ok(parsed) => json!({ "override": encode_override(&parsed) }),
        Err(error) => failure(&error, "parse"),
    }
}

fn encode_override(parsed: &Override) -> Json {
    let kind = match parsed.kind {
        OverrideKind::Change => "CHANGE",
        OverrideKind::Add => "ADD",
        OverrideKind::ForceAdd => "FORCE_ADD",
        OverrideKind::Delete => "DEL",
    };
    let value_type = match (&parsed.value, parsed.sweep()) {
        (None, _) => Json::Null,
        (Some(_), None) => "ELEMENT".into(),
        (Some(_), Some(Sweep::Choice { simple: true, .. })) => "SIMPLE_CHOICE_SWEEP".into(),
        (Some(_), Some(Sweep::Choice { .. })) => "CHOICE_SWEEP".into(),
        (Some(_), Some(Sweep::Range { .. })) => "RANGE_SWEEP".into(),
        (Some(_), Some(Sweep::Interval { .. })) => "INTERVAL_SWEEP".into(),
        (Some(_), Some(Sweep::Glob { .. })) => "GLOB_CHOICE_SWEEP".into(),
    };
    let mut out = json!({
        "type": kind,
        "key": parsed.key,
        "package": parsed.package,
        "value_type": value_type,
        "key_element": parsed.key_element(),
        "value_raw": parsed.value.as_ref().map_or(Json::Null, |value| encode_element(value, true, true)),
    });
    let null = Element::Scalar(Value::Null);
    let element = parsed.value.as_ref().unwrap_or(&null);
    match parsed.sweep() {
        None => {
            out["value"] = encode_element(element, false, true);
            match element.to_text() {
                Some(text) => out["value_str"] = text.into(),
                // Hydra's own name for a sweep inside a list.
                None => out["value_str_error"] = "ValidationError".into(),
            }
        }
        Some(Sweep::Glob { .. }) => out["value"] = encode_element(element, false, true),
        Some(Sweep::Interval { .. }) => {}
        Some(sweep) => add_values(&mut out, sweep),
    }
    out
}

fn add_values(out: &mut Json, sweep: &Sweep) {
    let shuffled = matches!(sweep, Sweep::Choice { shuffle: true, .. } | Sweep::Range { shuffle: true, .. });
    match sweep.texts(Vec::new) {
        Ok(mut texts) => {
            if shuffled {
                texts.sort();
                out["sweep_unordered"] = true.into();
            }
            if texts.len() > LISTED_VALUES {
                out["sweep_count"] = texts.len().into();
                out["sweep_last"] = texts.pop().into();
            } else {
                out["sweep_strings"] = texts.into();
            }
        }
        Err(error) => out["sweep_error"] = sweep_error(&error, sweep),
    }
}

/// The error in the words of Hydra, which the corpus compares.
fn sweep_error(error: &ConfigError, sweep: &Sweep) -> Json {
    let inner = match sweep {
        Sweep::Choice { list, .. } => list.iter().find_map(|item| match item {
            Element::Sweep(inner) => Some(class_name(inner)),
            _ => None,
        }),
        _ => None,
    };
    let (class, message) = match inner {
        Some(class) => (
            "ValidationError",
            format!("Unexpected type annotation: Set[str]\n    full_key: tags\n    object_type={class}"),
        ),
        None => ("ValueError", "range() arg 3 must not be zero".to_owned()),
    };
    json!({ "kind": error.kind(), "stage": "sweep", "class": class, "cause": [], "message": message })
}

fn class_name(sweep: &Sweep) -> &'static str {
    match sweep {
        Sweep::Choice { .. } => "ChoiceSweep",
        Sweep::Range { .. } => "RangeSweep",
        Sweep::Interval { .. } => "IntervalSweep",
        Sweep::Glob { .. } => "Glob",
    }
}

/// An element; `quotes` keeps those of texts, and only a sweep at the top is written out.
fn encode_element(element: &Element, quotes: bool, top: bool) -> Json {
    match element {
        Element::Scalar(value) => encode::value(value),
        Element::Quoted(text, quote) if quotes => {
            json!({ "$quoted": text, "quote": if *quote == Quote::Single { "single" } else { "double" } })
        }
        Element::Quoted(text, _) => text.as_str().into(),
        Element::List(items) => items.iter().map(|item| encode_element(item, quotes, false)).collect(),
        Element::Dict(pairs) => {
            encode::mapping(pairs.iter().map(|(key, item)| (key, encode_element(item, quotes, false))))
        }
        Element::Sweep(sweep) if top => encode_sweep(sweep, quotes),
        Element::Sweep(sweep) => json!({ "$repr": class_name(sweep) }),
    }
}

fn encode_sweep(sweep: &Sweep, quotes: bool) -> Json {
    let list = |items: &[Element]| -> Json {
        items.iter().map(|item| encode_element(item, quotes, false)).collect()
    };
    match sweep {
        Sweep::Choice { list: items, simple, shuffle, tags } => {
            json!({ "$choice": list(items), "simple": simple, "shuffle": shuffle, "tags": tags })
        }
        Sweep::Range { start, stop, step, shuffle, tags } => {
            let bounds: Vec<_> = [start, stop, step].map(encode::value).into();
            json!({ "$range": bounds, "shuffle": shuffle, "tags": tags })
        }
        Sweep::Interval { start, end, tags } => {
            json!({ "$interval": [encode::value(start), encode::value(end)], "tags": tags })
        }
        Sweep::Glob { include, exclude } => {
            json!({ "$glob": { "include": list(include), "exclude": list(exclude) } })
        }
    }
}
