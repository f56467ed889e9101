//! Keys of a mapping: strings almost always, but YAML also gives integers, floats, booleans and bytes.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::number::float_repr;

/// A key of a mapping. Numbers compare as in Python: `1`, `1.0` and `true` are one key.
#[derive(Debug, Clone)]
pub enum Key {
    /// A string.
    Str(Box<str>),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// Bytes (`!!binary`).
    Bytes(Box<[u8]>),
    /// Null; only an override's dictionary can hold it, and no configuration accepts it.
    Null,
}

impl Key {
    /// The text of a string key.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Key::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value as a number, where it is one.
    fn number(&self) -> Option<f64> {
        match self {
            Key::Int(value) => Some(*value as f64),
            Key::Float(value) => Some(*value),
            Key::Bool(value) => Some(f64::from(u8::from(*value))),
            _ => None,
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Key::Str(text.into())
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Key::Str(text.into())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Key::Str(a), Key::Str(b)) => a == b,
            (Key::Int(a), Key::Int(b)) => a == b,
            (Key::Bytes(a), Key::Bytes(b)) => a == b,
            (Key::Null, Key::Null) => true,
            _ => matches!((self.number(), other.number()), (Some(a), Some(b)) if a == b),
        }
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Key::Str(text) => text.hash(state),
            Key::Bytes(bytes) => bytes.hash(state),
            Key::Null => 0u8.hash(state),
            // One hash for equal numbers of different types; -0.0 equals 0.
            number => (number.number().unwrap_or_default() + 0.0).to_bits().hash(state),
        }
    }
}

impl indexmap::Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        key.as_str() == Some(self)
    }
}

/// As Python's `str()` writes it.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Str(text) => f.write_str(text),
            Key::Int(value) => write!(f, "{value}"),
            Key::Float(value) => f.write_str(&float_repr(*value)),
            Key::Bool(value) => f.write_str(if *value { "True" } else { "False" }),
            Key::Bytes(bytes) => write!(f, "{}", bytes.escape_ascii()),
            Key::Null => f.write_str("None"),
        }
    }
}
