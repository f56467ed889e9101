//! What is wrong with a configuration, each with the place that it came from.

use std::fmt;

use fulmen_configuration::{Config, Origin};
use fulmen_contracts::{Catalog, validate};

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key it is about.
    pub key: String,
    /// What is wrong, what was expected, and the near name.
    pub message: String,
    /// The file and line, or the override, that the value came from.
    pub origin: Option<Origin>,
}

impl ConfigProblem {
    /// A problem with `key`, placed where its value, or else the nearest value above it, was written.
    pub fn placed(config: &Config, key: &str, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into(), origin: place(config, key) }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(&self.message),
            key => write!(f, "{key}: {}", self.message),
        }
    }
}

/// All that is wrong with a configuration; never none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<ConfigProblem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Holds a resolved configuration against the components that it names.
///
/// # Errors
/// Everything that does not fit, at once.
pub fn check(config: &Config, catalog: &Catalog) -> Result<(), Problems> {
    let problems: Vec<_> = validate(&config.to_json(), catalog)
        .into_iter()
        .map(|problem| ConfigProblem::placed(config, &problem.key, problem.message))
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

fn place(config: &Config, key: &str) -> Option<Origin> {
    let mut key = key;
    while !key.is_empty() {
        if let Some(node) = config.select(key)
            && *node.origin() != Origin::Builtin
        {
            return Some(node.origin().clone());
        }
        key = &key[..key.rfind(['.', '[']).unwrap_or(0)];
    }
    None
}
