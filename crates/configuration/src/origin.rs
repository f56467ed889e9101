//! Where a value came from: a place in a file, a command-line override, or a resolver.

use std::fmt;
use std::sync::Arc;

/// Where a value, or a mistake, was written. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// A place in a configuration file.
    File {
        /// The file's path as it was opened, or `<embedded>/…` for a tree inside the binary.
        file: Arc<str>,
        /// Line, counted from 1.
        line: u32,
        /// Column in characters, counted from 1.
        column: u32,
    },
    /// A command-line override.
    Override {
        /// Position among the overrides of the command line, counted from 0.
        index: usize,
        /// The override as it was typed.
        text: Arc<str>,
        /// Column in characters inside `text`, counted from 1.
        column: u32,
    },
    /// The result of an interpolation such as `${oc.create:…}`.
    Resolver(Arc<str>),
    /// Written by the composer itself, as most of the `hydra` node is.
    #[default]
    Builtin,
}

impl Origin {
    /// The file, line and column, where the value was written in a file.
    pub fn file_position(&self) -> Option<(&str, u32, u32)> {
        match self {
            Origin::File { file, line, column } => Some((file, *line, *column)),
            _ => None,
        }
    }

    /// The same place, at another column.
    pub(crate) fn at_column(&self, column: u32) -> Origin {
        match self.clone() {
            Origin::File { file, line, .. } => Origin::File { file, line, column },
            Origin::Override { index, text, .. } => Origin::Override { index, text, column },
            other => other,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Origin::Override { index, text, column } => {
                write!(f, "override {} ({text}), column {column}", index + 1)
            }
            Origin::Resolver(name) => write!(f, "${{{name}:…}}"),
            Origin::Builtin => write!(f, "built-in configuration"),
        }
    }
}
