//! Why a component could not be found, built or registered.

/// Why a component could not be built from its settings.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The settings are wrong: `key` is relative to the component (`hidden[1]`), empty for the component itself.
    #[error("{message}")]
    Settings {
        /// The field that is wrong.
        key: String,
        /// What is wrong and what was expected.
        message: String,
    },
    /// No component of the kind has this name.
    #[error("no {kind} is called '{name}'{hint}; there are {known}")]
    Unknown {
        /// The kind that was asked for.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// ` (did you mean 'x'?)`, or nothing.
        hint: String,
        /// The names that there are.
        known: String,
    },
    /// The settings are well-formed, and the component cannot be made of them.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl BuildError {
    /// A setting that is wrong in itself or does not fit the others.
    pub fn setting(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Settings { key: key.into(), message: message.into() }
    }

    /// Whatever else went wrong.
    pub fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }

    /// The key it is about, below the component's own `key`.
    pub fn key_below(&self, key: &str) -> String {
        match self {
            Self::Settings { key: field, .. } if !field.is_empty() => format!("{key}.{field}"),
            Self::Unknown { .. } => format!("{key}.{}", fulmen_contracts::catalog::TARGET),
            _ => key.to_owned(),
        }
    }
}

/// Why a component could not be registered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two components of a kind share a name.
    #[error(
        "the {kind} '{name}' of {provider} is there already, from {other}; one of the two must take another name"
    )]
    Twice {
        /// Their kind.
        kind: &'static str,
        /// Their name.
        name: String,
        /// The crate that came second.
        provider: &'static str,
        /// The crate that came first.
        other: &'static str,
    },
    /// The name is not `domain.thing` or `thing` in lower case with underscores.
    #[error(
        "'{name}' of {provider} is no component name: write it as 'domain.thing', in lower case with underscores"
    )]
    Name {
        /// The name.
        name: String,
        /// The crate that brings it.
        provider: &'static str,
    },
}
