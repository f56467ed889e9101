//! `int()`, `float()`, `str()` and `bool()`: casts that reach into lists, dictionaries and sweeps.

use super::arguments::Arguments;
use super::{Element, Sweep};
use crate::value::Value;
use crate::value::number::{as_float, float_repr, int_from_decimal, parse_python_float, python_int_digits};

type Outcome = Result<Element, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    Int,
    Float,
    Str,
    Bool,
}

pub(super) fn call(cast: Cast, mut arguments: Arguments) -> Outcome {
    let named = arguments.take("value");
    match (named, arguments.rest.len()) {
        (Some(_), 1..) => Err("a value with a name and one without".into()),
        (Some(value), 0) => apply(cast, value),
        (None, 0) => Err("expected a value".into()),
        (None, 1) => apply(cast, arguments.rest.remove(0)),
        (None, _) if arguments.rest.iter().any(|e| matches!(e, Element::Sweep(_))) => {
            Err("a sweep among other values".into())
        }
        (None, _) => apply(cast, Element::Sweep(Box::new(Sweep::simple_choice(arguments.rest)))),
    }
}

fn apply(cast: Cast, element: Element) -> Outcome {
    Ok(match element {
        Element::Scalar(value) => Element::Scalar(scalar(cast, &value)?),
        Element::Quoted(text, _) => Element::Scalar(scalar(cast, &text.into())?),
        Element::List(items) => {
            Element::List(items.into_iter().map(|item| apply(cast, item)).collect::<Result<_, _>>()?)
        }
        Element::Dict(pairs) => Element::Dict(
            pairs
                .into_iter()
                .map(|(key, item)| Ok((key, apply(cast, item)?)))
                .collect::<Result<_, String>>()?,
        ),
        Element::Sweep(sweep) => Element::Sweep(Box::new(apply_to_sweep(cast, *sweep)?)),
    })
}

fn apply_to_sweep(cast: Cast, sweep: Sweep) -> Result<Sweep, String> {
    let is_number = matches!(cast, Cast::Int | Cast::Float);
    Ok(match sweep {
        Sweep::Choice { list, simple, .. } => {
            if list.iter().any(|item| matches!(item, Element::Sweep(_))) {
                return Err("a sweep inside a sweep".into());
            }
            let list = list.into_iter().map(|item| apply(cast, item)).collect::<Result<_, _>>()?;
            Sweep::Choice { list, simple, shuffle: false, tags: Default::default() }
        }
        Sweep::Range { start, stop, step, .. } if is_number => Sweep::Range {
            start: scalar(cast, &start)?,
            stop: scalar(cast, &stop)?,
            step: scalar(cast, &step)?,
            shuffle: false,
            tags: Default::default(),
        },
        Sweep::Interval { start, end, tags } if is_number => {
            Sweep::Interval { start: scalar(cast, &start)?, end: scalar(cast, &end)?, tags }
        }
        _ => return Err("expected values, not this kind of sweep".into()),
    })
}

fn scalar(cast: Cast, value: &Value) -> Result<Value, String> {
    if matches!(value, Value::Null) {
        return Err("null cannot be cast".into());
    }
    let cannot = |kind: &str| {
        let text = match value {
            Value::Str(text) => format!("'{text}'"),
            other => to_text(other),
        };
        format!("{text} is no {kind}")
    };
    match cast {
        Cast::Int => match value {
            Value::Float(value) if value.is_finite() => {
                Ok(int_from_decimal(&format!("{:.0}", value.trunc())))
            }
            Value::Str(text) => {
                python_int_digits(text).map(int_from_decimal).ok_or_else(|| cannot("integer"))
            }
            Value::Bool(value) => Ok(Value::Int(i64::from(*value))),
            Value::Int(_) | Value::BigInt(_) => Ok(value.clone()),
            _ => Err(cannot("integer")),
        },
        Cast::Float => match value {
            Value::Str(text) => parse_python_float(text).map(Value::Float).ok_or_else(|| cannot("number")),
            other => as_float(other)
                .filter(|float| float.is_finite() || matches!(other, Value::Float(_)))
                .map(Value::Float)
                .ok_or_else(|| cannot("number")),
        },
        Cast::Str => Ok(to_text(value).into()),
        Cast::Bool => match value {
            Value::Str(text) if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            Value::Str(text) if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            Value::Str(_) => Err(cannot("boolean: expected true or false")),
            other => Ok(Value::Bool(as_float(other) != Some(0.0))),
        },
    }
}

fn to_text(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::BigInt(digits) => digits.to_string(),
        Value::Float(value) => float_repr(*value),
        Value::Str(text) => text.to_string(),
        _ => String::new(),
    }
}
