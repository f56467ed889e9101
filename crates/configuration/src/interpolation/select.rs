//! Selects a node by key, following the interpolations on the way.

use super::cursor::Cursor;
use super::evaluate::{Evaluator, Target};
use crate::error::{Result, fail, nearest};
use crate::value::number::python_int_digits;
use crate::value::{Value, split_key};

/// What a key leads to.
pub(crate) enum Selected<'a> {
    Found(Target<'a>),
    NotFound {
        suggestion: Option<String>,
    },
    /// The way leads through something that has no children.
    NotContainer {
        message: String,
    },
}

impl<'a> Evaluator<'a> {
    /// Selects by key from `root`. With `demand`, an unset `???` on the way is an error.
    pub(crate) fn select_from(&self, root: &Cursor<'a>, key: &str, demand: bool) -> Result<Selected<'a>> {
        if key.is_empty() {
            return Ok(Selected::Found(Target::Place(root.clone())));
        }
        let parts = split_key(key);
        let mut cursor = root.clone();
        for (index, part) in parts.iter().enumerate() {
            if let (Value::List(_), None) = (&cursor.node().value, python_int_digits(part)) {
                let list = cursor.full_key();
                return Err(fail!(InterpolationFailed, "'{part}' is no index of the list '{list}'"));
            }
            let Some(child) = cursor.child(part) else {
                let suggestion = demand.then(|| suggestion(&cursor, part, &parts[index + 1..])).flatten();
                return Ok(Selected::NotFound { suggestion });
            };
            if demand && child.node().is_missing() {
                let full_key = child.full_key();
                return Err(fail!(
                    InterpolationToMissing,
                    "interpolation to '{full_key}', which must be set and is not"
                )
                .with_help(format!("set it: {full_key}=VALUE")));
            }
            let target = self.dereference(&child)?;
            let Some(next) = parts.get(index + 1) else { return Ok(Selected::Found(target)) };
            match target {
                Target::Place(place) if place.node().is_container() => cursor = place,
                other => {
                    let message = format!(
                        "'{}' is {} and cannot contain '{next}'",
                        child.full_key(),
                        other.node().type_name()
                    );
                    return Ok(Selected::NotContainer { message });
                }
            }
        }
        Ok(Selected::NotFound { suggestion: None })
    }
}

/// The full key that was probably meant.
fn suggestion(cursor: &Cursor<'_>, part: &str, rest: &[String]) -> Option<String> {
    let map = cursor.node().as_map()?;
    let near = nearest(part, map.keys().filter_map(|key| key.as_str()))?;
    let mut key = cursor.child(near)?.full_key();
    for part in rest {
        key = format!("{key}.{part}");
    }
    Some(key)
}
