//! The values that an override can hold.

use indexmap::IndexMap;

use super::Sweep;
use crate::error::{Result, fail};
use crate::origin::Origin;
use crate::value::number::float_repr;
use crate::value::{Key, Map, Node, Value};

/// The kind of quotes around a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// `'…'`
    Single,
    /// `"…"`
    Double,
}

/// A value of an override.
#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    /// Null, a boolean, a number or a text without quotes.
    Scalar(Value),
    /// A text in quotes.
    Quoted(String, Quote),
    /// `[a,b]`
    List(Vec<Element>),
    /// `{a:b}`
    Dict(IndexMap<Key, Element>),
    /// `a,b`, `range(3)`, `glob(*)` …
    Sweep(Box<Sweep>),
}

impl Element {
    /// The value as a node of the tree.
    ///
    /// # Errors
    /// A sweep inside a list or a dictionary, or a null key.
    pub fn to_node(&self, origin: &Origin) -> Result<Node> {
        let value = match self {
            Element::Scalar(value) => value.clone(),
            Element::Quoted(text, _) => text.as_str().into(),
            Element::List(items) => {
                Value::List(items.iter().map(|item| item.to_node(origin)).collect::<Result<_>>()?)
            }
            Element::Dict(pairs) => {
                let mut map = Map::new();
                for (key, item) in pairs {
                    if matches!(key, Key::Null) {
                        return Err(fail!(Type, "null cannot be a key").at(origin.clone()));
                    }
                    map.insert(key.clone(), item.to_node(origin)?);
                }
                map.into()
            }
            Element::Sweep(_) => {
                return Err(fail!(Type, "a sweep cannot stand inside a value")
                    .at(origin.clone())
                    .with_help("sweep over the whole value: key=[1],[2]"));
            }
        };
        Ok(Node::new(value, origin.clone()))
    }

    /// The text, with or without quotes.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Element::Quoted(text, _) => Some(text),
            Element::Scalar(Value::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// The value in the canonical form that a job's override has; `None` where a sweep is inside.
    pub fn to_text(&self) -> Option<String> {
        let mut out = String::new();
        self.write(&mut out).then_some(out)
    }

    fn write(&self, out: &mut String) -> bool {
        match self {
            Element::Scalar(value) => write_scalar(value, out),
            Element::Quoted(text, quote) => write_quoted(text, *quote, out),
            Element::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    if !item.write(out) {
                        return false;
                    }
                }
                out.push(']');
            }
            Element::Dict(pairs) => {
                out.push('{');
                for (index, (key, item)) in pairs.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    match key {
                        Key::Str(text) => write_escaped(text, out),
                        Key::Null => out.push_str("null"),
                        other => out.push_str(&other.to_string()),
                    }
                    out.push(':');
                    if !item.write(out) {
                        return false;
                    }
                }
                out.push('}');
            }
            Element::Sweep(_) => return false,
        }
        true
    }
}

fn write_scalar(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "True" } else { "False" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::BigInt(digits) => out.push_str(digits),
        Value::Float(value) => out.push_str(&float_repr(*value)),
        Value::Str(text) => write_escaped(text, out),
        Value::Bytes(_) | Value::Map(_) | Value::List(_) => {}
    }
}

fn write_escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        if "\\()[]{}:=, \t".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
}

/// Backslashes double before a quote and before the end; quotes are escaped.
fn write_quoted(text: &str, quote: Quote, out: &mut String) {
    let mark = if quote == Quote::Single { '\'' } else { '"' };
    out.push(mark);
    let mut backslashes = 0;
    for c in text.chars() {
        if c == mark {
            out.extend(std::iter::repeat_n('\\', backslashes + 1));
        }
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
        out.push(c);
    }
    out.extend(std::iter::repeat_n('\\', backslashes));
    out.push(mark);
}
