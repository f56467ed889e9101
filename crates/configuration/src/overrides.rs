//! The override grammar of Hydra 1.3: `key=value`, `+key=value`, `~key`, `group@package=option`, sweeps.

mod arguments;
mod casts;
mod decimal;
mod element;
mod functions;
mod lexer;
mod parser;
mod sweep;

use std::sync::Arc;

pub use element::{Element, Quote};
pub use sweep::Sweep;

use crate::error::{ConfigError, Result};
use crate::origin::Origin;

/// What an override does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverrideKind {
    /// `key=value`: changes what is there.
    Change,
    /// `+key=value`: adds what is not there.
    Add,
    /// `++key=value`: adds or changes.
    ForceAdd,
    /// `~key` or `~key=value`: deletes.
    Delete,
}

/// One parsed override.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// What it does.
    pub kind: OverrideKind,
    /// The key of a value, or the name of a group.
    pub key: String,
    /// The package after `@`.
    pub package: Option<String>,
    /// The value after `=`; `None` for a deletion without one.
    pub value: Option<Element>,
    /// The override as it was typed.
    pub text: Arc<str>,
}

impl Override {
    /// Parses one override.
    ///
    /// # Errors
    /// Text that does not follow the grammar, or a function that refuses its arguments.
    pub fn parse(text: &str) -> Result<Self> {
        parser::parse(text).map_err(|error| match error.origin() {
            Some(_) => error,
            None => error.at(Origin::Override { index: 0, text: text.into(), column: 1 }),
        })
    }

    /// The key as typed, with prefix and package: `+db@backup`.
    pub fn key_element(&self) -> String {
        let prefix = match self.kind {
            OverrideKind::Change => "",
            OverrideKind::Add => "+",
            OverrideKind::ForceAdd => "++",
            OverrideKind::Delete => "~",
        };
        format!("{prefix}{}", self.key_with_package())
    }

    /// The key with its package: `db@backup`.
    pub(crate) fn key_with_package(&self) -> String {
        match &self.package {
            Some(package) => format!("{}@{package}", self.key),
            None => self.key.clone(),
        }
    }

    /// The sweep, if the value is one.
    pub fn sweep(&self) -> Option<&Sweep> {
        match &self.value {
            Some(Element::Sweep(sweep)) => Some(sweep),
            _ => None,
        }
    }

    /// Whether it sets something of the `hydra` node.
    pub fn is_hydra(&self) -> bool {
        self.key.starts_with("hydra.") || self.key.starts_with("hydra/")
    }
}

/// Parses a command line of overrides.
///
/// # Errors
/// The first override that is wrong; its place among the others is in the error's origin.
pub fn parse_all<S: AsRef<str>>(texts: &[S]) -> Result<Vec<Override>> {
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| Override::parse(text.as_ref()).map_err(|error| with_index(error, index)))
        .collect()
}

fn with_index(error: ConfigError, index: usize) -> ConfigError {
    match error.origin().cloned() {
        Some(Origin::Override { text, column, .. }) => error.at(Origin::Override { index, text, column }),
        _ => error,
    }
}
