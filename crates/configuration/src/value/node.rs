//! A node of the tree: a value, where it came from, and whether it may be changed.

use indexmap::IndexMap;

use super::{Key, MISSING};
use crate::origin::Origin;

/// A mapping, in the order in which its keys were first written.
pub type Map = IndexMap<Key, Node>;

/// A value. `???` and interpolations are strings here, as in the files.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond 64 bits, in decimal digits.
    BigInt(Box<str>),
    /// A float.
    Float(f64),
    /// Text.
    Str(Box<str>),
    /// Bytes (`!!binary`).
    Bytes(Box<[u8]>),
    /// A mapping.
    Map(Box<Map>),
    /// A list.
    List(Vec<Node>),
}

/// Whether a node may gain keys (`struct`) or change at all (`readonly`); unset is as its parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// Keys that do not exist are errors.
    pub closed: Option<bool>,
    /// Nothing may change.
    pub readonly: Option<bool>,
}

impl Flags {
    /// What holds for a node with these flags under a parent with `inherited`.
    pub(crate) fn under(self, inherited: Flags) -> Flags {
        Flags { closed: self.closed.or(inherited.closed), readonly: self.readonly.or(inherited.readonly) }
    }

    pub(crate) fn is_closed(self) -> bool {
        self.closed == Some(true)
    }

    pub(crate) fn is_readonly(self) -> bool {
        self.readonly == Some(true)
    }
}

/// A value with its origin.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub origin: Origin,
    /// Whether it may be changed.
    pub flags: Flags,
}

/// Equal values; origins and flags do not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// A node with an origin.
    pub fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin, flags: Flags::default() }
    }

    /// An empty mapping.
    pub fn empty_map(origin: Origin) -> Self {
        Self::new(Value::Map(Box::default()), origin)
    }

    /// A node that the composer itself writes.
    pub(crate) fn builtin(value: impl Into<Value>) -> Self {
        Self::new(value.into(), Origin::Builtin)
    }

    /// Where the value was written.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The child under a string key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// Whether it is a mapping or a list.
    pub fn is_container(&self) -> bool {
        matches!(self.value, Value::Map(_) | Value::List(_))
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether it is a mandatory value that nobody has set.
    pub fn is_missing(&self) -> bool {
        self.as_str() == Some(MISSING)
    }

    /// Whether it is text with an interpolation in it (an escaped one counts, for it needs unescaping).
    pub fn is_interpolation(&self) -> bool {
        self.as_str().is_some_and(|text| text.contains("${"))
    }

    /// The child at a key written as text: a string key of a mapping, or an index of a list.
    pub(crate) fn child(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(map) => map.get(key),
            Value::List(items) => items.get(super::number::parse_python_int(key)?),
            _ => None,
        }
    }

    pub(crate) fn child_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(map) => map.get_mut(key),
            Value::List(items) => items.get_mut(super::number::parse_python_int(key)?),
            _ => None,
        }
    }

    /// The node at a key such as `a.b[0].c`, without following interpolations.
    pub fn select(&self, key: &str) -> Option<&Node> {
        let mut node = self;
        for part in super::split_key(key) {
            node = node.child(&part)?;
        }
        Some(node)
    }

    /// The value's type in words, for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::BigInt(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Str(_) => "a string",
            Value::Bytes(_) => "bytes",
            Value::Map(_) => "a mapping",
            Value::List(_) => "a list",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Str(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Value::Map(Box::new(map))
    }
}

impl From<Vec<Node>> for Value {
    fn from(items: Vec<Node>) -> Self {
        Value::List(items)
    }
}
