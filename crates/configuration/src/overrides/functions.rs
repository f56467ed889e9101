//! The functions of the override grammar: sweeps and what changes them. The casts are in `casts`.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::arguments::{Arguments, Signature};
use super::casts::{self, Cast};
use super::sweep::shuffle_elements;
use super::{Element, Sweep};
use crate::error::nearest;
use crate::value::Value;
use crate::value::number::{as_float, float_repr};

type Outcome = Result<Element, String>;

const NAMES: [&str; 11] =
    ["bool", "choice", "float", "glob", "int", "interval", "range", "shuffle", "sort", "str", "tag"];

/// Calls a function. Errors are messages; the parser adds the place.
pub(super) fn call(name: &str, given: Vec<(Option<&str>, Element)>) -> Outcome {
    let any = |names| Signature { variadic: true, names, required: 0 };
    let fixed = |names, required| Signature { variadic: false, names, required };
    match name {
        "int" => casts::call(Cast::Int, any(&["value"]).bind(given)?),
        "float" => casts::call(Cast::Float, any(&["value"]).bind(given)?),
        "str" => casts::call(Cast::Str, any(&["value"]).bind(given)?),
        "bool" => casts::call(Cast::Bool, any(&["value"]).bind(given)?),
        "choice" => choice(any(&[]).bind(given)?),
        "range" => range(fixed(&["start", "stop", "step"], 1).bind(given)?),
        "interval" => interval(fixed(&["start", "end"], 2).bind(given)?),
        "tag" => tag(any(&["sweep"]).bind(given)?),
        "shuffle" => shuffle(any(&["sweep", "list"]).bind(given)?),
        "sort" => sort(any(&["sweep", "list", "reverse"]).bind(given)?),
        "glob" => glob(fixed(&["include", "exclude"], 1).bind(given)?),
        _ => Err(match nearest(name, NAMES) {
            Some(near) => format!("no such function; did you mean {near}()?"),
            None => format!("no such function; there are {}", NAMES.join(", ")),
        }),
    }
}

fn sweep(sweep: Sweep) -> Outcome {
    Ok(Element::Sweep(Box::new(sweep)))
}

fn is_null(element: &Element) -> bool {
    matches!(element, Element::Scalar(Value::Null))
}

fn is_choice_or_range(element: &Element) -> bool {
    matches!(element, Element::Sweep(sweep) if matches!(**sweep, Sweep::Choice { .. } | Sweep::Range { .. }))
}

fn is_plain(element: &Element) -> bool {
    !is_null(element) && !matches!(element, Element::Sweep(_))
}

fn choice(mut arguments: Arguments) -> Outcome {
    let ok = |e: &Element| {
        is_plain(e) || matches!(e, Element::Sweep(sweep) if matches!(**sweep, Sweep::Choice { .. }))
    };
    if !arguments.rest.iter().all(ok) {
        return Err("expected values: texts, numbers, booleans, lists, dictionaries".into());
    }
    match arguments.rest.as_mut_slice() {
        [] => Err("expected at least one value".into()),
        [Element::Sweep(single)] => match &mut **single {
            Sweep::Choice { simple, .. } if *simple => {
                *simple = false;
                Ok(arguments.rest.remove(0))
            }
            _ => Err("a choice inside a choice".into()),
        },
        _ => sweep(Sweep::Choice {
            list: arguments.rest,
            simple: false,
            shuffle: false,
            tags: BTreeSet::new(),
        }),
    }
}

fn number(element: Element) -> Result<Value, String> {
    match element {
        Element::Scalar(value) if as_float(&value).is_some() => Ok(value),
        _ => Err("expected numbers".into()),
    }
}

fn range(mut arguments: Arguments) -> Outcome {
    let start = arguments.take("start").ok_or("expected numbers").map(number)??;
    let stop = arguments.take("stop").map(number).transpose()?;
    let step = match arguments.get("step") {
        Some(_) => number(arguments.take("step").unwrap_or(Element::Scalar(Value::Null)))?,
        None => Value::Int(1),
    };
    let (start, stop) = match stop {
        Some(stop) => (start, stop),
        None => (Value::Int(0), start),
    };
    sweep(Sweep::Range { start, stop, step, shuffle: false, tags: BTreeSet::new() })
}

fn interval(mut arguments: Arguments) -> Outcome {
    let mut bound = |name| {
        let value = arguments.take(name).ok_or("expected numbers").map(number)??;
        as_float(&value).map(Value::Float).ok_or_else(|| "expected numbers".to_owned())
    };
    let (start, end) = (bound("start")?, bound("end")?);
    sweep(Sweep::Interval { start, end, tags: BTreeSet::new() })
}

fn tag(mut arguments: Arguments) -> Outcome {
    if arguments.rest.is_empty() {
        return Err("expected at least a sweep".into());
    }
    let is_sweep = |e: &Element| matches!(e, Element::Sweep(sweep) if !matches!(**sweep, Sweep::Glob { .. }));
    if !arguments.rest.iter().all(|e| is_sweep(e) || e.as_text().is_some()) {
        return Err("expected words and a sweep".into());
    }
    if let Some(named) = arguments.take("sweep") {
        if !is_sweep(&named) {
            return Err("expected a sweep".into());
        }
        arguments.rest.push(named);
    }
    let Some(Element::Sweep(mut tagged)) = arguments.rest.pop() else {
        return Err("expected a choice(), range() or interval() at the end".into());
    };
    let mut words = BTreeSet::new();
    for word in &arguments.rest {
        words.insert(word.as_text().ok_or("expected words before the sweep")?.to_owned());
    }
    match &mut *tagged {
        Sweep::Choice { tags, .. } | Sweep::Range { tags, .. } | Sweep::Interval { tags, .. } => {
            *tags = words
        }
        Sweep::Glob { .. } => {}
    }
    Ok(Element::Sweep(tagged))
}

/// Null arguments are refused, and the named ones must be of their type.
fn check_order_arguments(arguments: &Arguments) -> Result<(), String> {
    let named_ok = arguments.get("sweep").is_none_or(|e| is_null(e) || is_choice_or_range(e))
        && arguments.get("list").is_none_or(|e| is_null(e) || matches!(e, Element::List(_)));
    if !named_ok || !arguments.rest.iter().all(|e| is_plain(e) || is_choice_or_range(e)) {
        return Err("expected values, a list, a choice() or a range()".into());
    }
    Ok(())
}

/// The single argument that stands for a list or a sweep, if there is one.
fn single(arguments: &mut Arguments) -> Option<Element> {
    let named = arguments.take("list").or_else(|| arguments.take("sweep"));
    named.or_else(|| if arguments.rest.len() == 1 { arguments.rest.pop() } else { None })
}

fn shuffle(mut arguments: Arguments) -> Outcome {
    check_order_arguments(&arguments)?;
    match single(&mut arguments) {
        Some(Element::Sweep(mut inner)) => {
            if let Sweep::Choice { shuffle, .. } | Sweep::Range { shuffle, .. } = &mut *inner {
                *shuffle = true;
            }
            Ok(Element::Sweep(inner))
        }
        Some(Element::List(mut items)) => {
            shuffle_elements(&mut items);
            Ok(Element::List(items))
        }
        Some(other) => Ok(Element::List(vec![other])),
        None if arguments.rest.iter().any(|e| !is_plain(e)) => Err("expected values".into()),
        None => {
            sweep(Sweep::Choice { list: arguments.rest, simple: true, shuffle: true, tags: BTreeSet::new() })
        }
    }
}

fn sort(mut arguments: Arguments) -> Outcome {
    check_order_arguments(&arguments)?;
    let reverse = match arguments.get("reverse") {
        None => false,
        Some(Element::Scalar(Value::Bool(reverse))) => *reverse,
        Some(_) => return Err("expected reverse=true or reverse=false".into()),
    };
    match single(&mut arguments) {
        Some(Element::Sweep(inner)) => sort_sweep(*inner, reverse),
        Some(Element::List(items)) => Ok(Element::List(sorted(items, reverse)?)),
        Some(other) => Ok(other),
        None if arguments.rest.is_empty() => Err("expected values to sort".into()),
        None if !arguments.rest.iter().all(|e| matches!(e, Element::Scalar(_))) => {
            Err("expected texts, numbers or booleans".into())
        }
        None => sort_sweep(Sweep::simple_choice(arguments.rest), reverse),
    }
}

fn sort_sweep(inner: Sweep, reverse: bool) -> Outcome {
    sweep(match inner {
        Sweep::Choice { list, simple, shuffle, tags } => {
            Sweep::Choice { list: sorted(list, reverse)?, simple, shuffle, tags }
        }
        Sweep::Range { start, stop, step, shuffle, tags } => {
            let order = number_order(&start, &stop);
            if order == Some(if reverse { Ordering::Less } else { Ordering::Greater }) {
                // Turned around: the last value comes first.
                let size = if is_below_zero(&step) { negate(&step) } else { step.clone() };
                let size = if reverse { negate(&size) } else { size };
                let (start, stop) = (plus(&stop, &size), plus(&start, &size));
                Sweep::Range { start, stop, step: negate(&step), shuffle, tags }
            } else {
                Sweep::Range { start, stop, step, shuffle, tags }
            }
        }
        other => other,
    })
}

fn is_below_zero(value: &Value) -> bool {
    as_float(value).is_some_and(|value| value < 0.0)
}

fn negate(value: &Value) -> Value {
    match value {
        Value::Int(value) => Value::Int(value.wrapping_neg()),
        Value::Bool(value) => Value::Int(-i64::from(*value)),
        other => Value::Float(-as_float(other).unwrap_or_default()),
    }
}

fn plus(a: &Value, b: &Value) -> Value {
    let integer = |value: &Value| match value {
        Value::Int(value) => Some(*value),
        Value::Bool(value) => Some(i64::from(*value)),
        _ => None,
    };
    match integer(a).zip(integer(b)).and_then(|(a, b)| a.checked_add(b)) {
        Some(sum) => Value::Int(sum),
        None => Value::Float(as_float(a).unwrap_or_default() + as_float(b).unwrap_or_default()),
    }
}

fn number_order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        _ => as_float(a)?.partial_cmp(&as_float(b)?),
    }
}

/// Python's stable sort, with its errors for values that have no order. NaN has no order either and stays put,
/// which the standard library's sorts would not forgive.
fn sorted(items: Vec<Element>, reverse: bool) -> Result<Vec<Element>, String> {
    let mut out: Vec<Element> = Vec::with_capacity(items.len());
    let ordered: Box<dyn Iterator<Item = Element>> =
        if reverse { Box::new(items.into_iter().rev()) } else { Box::new(items.into_iter()) };
    for item in ordered {
        let (mut low, mut high) = (0, out.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_less(&item, &out[middle])? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        out.insert(low, item);
    }
    if reverse {
        out.reverse();
    }
    Ok(out)
}

fn is_less(a: &Element, b: &Element) -> Result<bool, String> {
    match (a, b) {
        (Element::Scalar(Value::Str(a)), Element::Scalar(Value::Str(b))) => Ok(a < b),
        (Element::Scalar(a), Element::Scalar(b)) if as_float(a).is_some() && as_float(b).is_some() => {
            Ok(number_order(a, b) == Some(Ordering::Less))
        }
        (Element::List(a), Element::List(b)) => match a.iter().zip(b).find(|(a, b)| a != b) {
            Some((a, b)) => is_less(a, b),
            None => Ok(a.len() < b.len()),
        },
        _ => Err(format!("{} and {} have no order", describe(a), describe(b))),
    }
}

fn describe(element: &Element) -> String {
    match element {
        Element::Scalar(Value::Float(value)) => float_repr(*value),
        other => other.to_text().map_or_else(|| "a sweep".into(), |text| format!("'{text}'")),
    }
}

fn glob(mut arguments: Arguments) -> Outcome {
    let mut patterns = |name| match arguments.take(name) {
        None => Ok(Vec::new()),
        Some(Element::List(items)) => Ok(items),
        Some(single @ Element::Scalar(Value::Str(_))) => Ok(vec![single]),
        Some(_) => Err("expected a pattern or a list of patterns".to_owned()),
    };
    let (include, exclude) = (patterns("include")?, patterns("exclude")?);
    sweep(Sweep::Glob { include, exclude })
}
