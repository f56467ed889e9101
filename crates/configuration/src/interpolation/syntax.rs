//! The syntax tree of a text with interpolations.

use crate::value::{Key, Value};

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Interpolation(Interpolation),
}

/// What stands between `${` and `}`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Interpolation {
    /// `${a.b[c].${d}}`: the pieces of a key, dots and brackets included.
    Key(Vec<Part>),
    /// `${name:argument,…}`
    Call { name: Vec<Part>, arguments: Vec<Element> },
}

/// An argument of a resolver.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Element {
    /// A number, word, boolean or null.
    Literal(Value),
    /// One interpolation, whose value is taken as it is.
    Interpolation(Box<Interpolation>),
    /// Text in quotes, or several tokens in a row: always a string.
    Text(Vec<Part>),
    List(Vec<Element>),
    Dict(Vec<(Key, Element)>),
}
