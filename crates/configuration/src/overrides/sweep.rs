//! Sweeps: the sets of values that a multirun tries one after another.

use std::collections::BTreeSet;

use super::Element;
use super::decimal::Decimal;
use crate::error::{Result, fail};
use crate::glob;
use crate::value::Value;
use crate::value::number::as_float;

/// A set of values to try.
#[derive(Debug, Clone, PartialEq)]
pub enum Sweep {
    /// `a,b,c` or `choice(a,b,c)`
    Choice {
        /// The values.
        list: Vec<Element>,
        /// Written without `choice(…)`.
        simple: bool,
        /// To be shuffled.
        shuffle: bool,
        /// Words that `tag()` put on it.
        tags: BTreeSet<String>,
    },
    /// `range(start,stop,step)`
    Range {
        /// The first value.
        start: Value,
        /// The bound that is not reached.
        stop: Value,
        /// The distance between two values.
        step: Value,
        /// To be shuffled.
        shuffle: bool,
        /// Words that `tag()` put on it.
        tags: BTreeSet<String>,
    },
    /// `interval(start,end)`: every number between two; only search algorithms can use it.
    Interval {
        /// The lower bound.
        start: Value,
        /// The upper bound.
        end: Value,
        /// Words that `tag()` put on it.
        tags: BTreeSet<String>,
    },
    /// `glob(include,exclude)`: the options of the group whose names match.
    Glob {
        /// Patterns of names to take.
        include: Vec<Element>,
        /// Patterns of names to leave.
        exclude: Vec<Element>,
    },
}

/// More jobs than anyone can run; a mistake in a range must not fill the memory.
const MAX_VALUES: usize = 1_000_000;

impl Sweep {
    pub(super) fn simple_choice(list: Vec<Element>) -> Self {
        Sweep::Choice { list, simple: true, shuffle: false, tags: BTreeSet::new() }
    }

    /// The values in their canonical text, shuffled if that was asked for.
    ///
    /// # Errors
    /// An interval, a range with step zero, or a list that holds a sweep.
    pub fn texts(&self, group_options: impl FnOnce() -> Vec<String>) -> Result<Vec<String>> {
        let (mut texts, shuffle) = match self {
            Sweep::Choice { list, shuffle, .. } => {
                let text =
                    |item: &Element| item.to_text().ok_or_else(|| fail!(Type, "a sweep inside a sweep"));
                (list.iter().map(text).collect::<Result<Vec<_>>>()?, *shuffle)
            }
            Sweep::Range { start, stop, step, shuffle, .. } => {
                let values = range_values(start, stop, step)?;
                let texts = values.into_iter().filter_map(|value| Element::Scalar(value).to_text()).collect();
                (texts, *shuffle)
            }
            Sweep::Glob { include, exclude } => (glob_options(include, exclude, group_options())?, false),
            Sweep::Interval { .. } => {
                return Err(fail!(
                    SweepUnsupported,
                    "an interval has no end of values: only a search can use it"
                )
                .with_help("give the values themselves, or range(start,stop,step)"));
            }
        };
        if shuffle {
            shuffle_in_place(&mut texts);
        }
        Ok(texts)
    }
}

fn range_values(start: &Value, stop: &Value, step: &Value) -> Result<Vec<Value>> {
    let zero_step = || fail!(Value, "the step of a range must not be zero");
    let too_many = || fail!(Value, "a range of more than {MAX_VALUES} values");
    if let (Some(start), Some(stop), Some(step)) = (as_integer(start), as_integer(stop), as_integer(step)) {
        let mut values = Vec::new();
        let mut next = start;
        if step == 0 {
            return Err(zero_step());
        }
        while if step > 0 { next < stop } else { next > stop } {
            if values.len() >= MAX_VALUES {
                return Err(too_many());
            }
            values.push(Value::Int(next));
            let Some(after) = next.checked_add(step) else { break };
            next = after;
        }
        return Ok(values);
    }
    // Python adds the exact decimal expansions in a 28-digit context, and rounds each sum to a double.
    let decimal = |value: &Value| {
        as_float(value)
            .and_then(Decimal::from_f64)
            .ok_or_else(|| fail!(Value, "the bounds and the step of a range must be finite numbers"))
    };
    let (mut next, stop, step) = (decimal(start)?, decimal(stop)?, decimal(step)?);
    if step.is_zero() {
        return Err(zero_step());
    }
    let mut values = Vec::new();
    while if step.is_negative() { next > stop } else { next < stop } {
        if values.len() >= MAX_VALUES {
            return Err(too_many());
        }
        values.push(Value::Float(next.to_f64()));
        next = next.add_rounded(&step);
    }
    Ok(values)
}

fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(*value),
        Value::Bool(value) => Some(i64::from(*value)),
        _ => None,
    }
}

fn glob_options(include: &[Element], exclude: &[Element], options: Vec<String>) -> Result<Vec<String>> {
    let patterns = |elements: &[Element]| {
        let text = |element: &Element| match element {
            Element::Scalar(Value::Str(text)) => Ok(text.to_string()),
            Element::Quoted(text, _) => Ok(text.clone()),
            _ => Err(fail!(Type, "glob() takes texts")),
        };
        elements.iter().map(text).collect::<Result<Vec<_>>>()
    };
    let (include, exclude) = (patterns(include)?, patterns(exclude)?);
    let matches =
        |name: &str, patterns: &[String]| patterns.iter().any(|pattern| glob::matches(pattern, name));
    Ok(options.into_iter().filter(|name| matches(name, &include) && !matches(name, &exclude)).collect())
}

/// Fisher and Yates' shuffle, seeded from the clock: `shuffle()` asks for an order that differs from run to run.
fn shuffle_in_place<T>(items: &mut [T]) {
    use std::hash::{BuildHasher, RandomState};
    let state = RandomState::new();
    for last in (1..items.len()).rev() {
        let random = state.hash_one(last) % (last as u64 + 1);
        items.swap(last, usize::try_from(random).unwrap_or(last));
    }
}

pub(super) fn shuffle_elements(items: &mut [Element]) {
    shuffle_in_place(items);
}
