//! Everything that can be wrong with a configuration, each with its place and the way out.

use std::fmt;

use crate::origin::Origin;

/// The result of every fallible function here.
pub type Result<T> = std::result::Result<T, ConfigError>;

/// What an error says: the mistake, where it is, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was wrong, and what was expected. No position, no full stop.
    pub message: String,
    /// The file position or override that is at fault, where one is known.
    pub origin: Option<Origin>,
    /// The way out, in the imperative.
    pub help: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

macro_rules! config_errors {
    ($($(#[$doc:meta])* $variant:ident => $kind:literal,)*) => {
        /// A mistake in a configuration or in an override.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[non_exhaustive]
        pub enum ConfigError {
            $($(#[$doc])* #[error("{0}")] $variant(Box<Report>),)*
        }

        impl ConfigError {
            /// A stable, short name of the kind of mistake, such as `unknown_key`.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)* }
            }

            /// The mistake, its place and the way out.
            pub fn report(&self) -> &Report {
                match self { $(Self::$variant(report) => report,)* }
            }

            fn report_mut(&mut self) -> &mut Report {
                match self { $(Self::$variant(report) => report,)* }
            }
        }
    };
}

config_errors! {
    /// A value is already there, and `+` only adds.
    AppendExists => "append_exists",
    /// The composition is not possible for another reason.
    Composition => "composition",
    /// No file for a config that a defaults list or the command line names.
    ConfigNotFound => "config_not_found",
    /// A defaults list that is not well formed.
    DefaultsList => "defaults_list",
    /// `~key` of something that is not there.
    DeleteNoMatch => "delete_no_match",
    /// Two choices for one config group.
    DuplicateChoice => "duplicate_choice",
    /// `group@package=option` of a group that does not exist.
    GroupNotFound => "group_not_found",
    /// Values that refer to each other in a circle.
    InterpolationCycle => "interp_cycle",
    /// A resolver that failed, or a path through something that is not a container.
    InterpolationFailed => "interp_failed",
    /// An interpolation to a key that does not exist.
    InterpolationKey => "interp_key",
    /// `${…}` that is not well formed.
    InterpolationSyntax => "interp_syntax",
    /// An interpolation to a mandatory value that nobody has set.
    InterpolationToMissing => "interp_to_missing",
    /// `${name:…}` of a resolver that does not exist.
    InterpolationUnknownResolver => "interp_unknown_resolver",
    /// A file that cannot be read, or holds neither a mapping nor a list.
    Io => "io",
    /// Two nodes that cannot be merged.
    Merge => "merge",
    /// A group whose option must be chosen, and was not.
    MissingChoice => "missing_choice",
    /// An override of a group that the defaults list does not have.
    OverrideNoMatch => "override_no_match",
    /// An override that is not well formed.
    OverrideSyntax => "override_syntax",
    /// A change of something read-only.
    ReadOnly => "readonly",
    /// `hydra.searchpath` where it is not allowed, or not a list of strings.
    SearchPath => "searchpath",
    /// A sweep where one job was expected, or one that cannot be enumerated.
    SweepNotAllowed => "sweep_not_allowed",
    /// A sweep of a kind that cannot be enumerated.
    SweepUnsupported => "hydra",
    /// A value of the wrong type.
    Type => "type",
    /// A key that does not exist.
    UnknownKey => "unknown_key",
    /// A value out of its range.
    Value => "value",
    /// Text that is not YAML.
    Yaml => "yaml",
    /// One key twice in a mapping.
    YamlDuplicateKey => "yaml_duplicate_key",
}

impl ConfigError {
    /// Where the mistake is, if that is known.
    pub fn origin(&self) -> Option<&Origin> {
        self.report().origin.as_ref()
    }

    /// The way out, if there is one to tell.
    pub fn help(&self) -> Option<&str> {
        self.report().help.as_deref()
    }

    /// Everything as text: `config/model/x.yaml:3:5: message`, and the help on lines of its own.
    pub fn to_text(&self) -> String {
        let report = self.report();
        let mut text = match &report.origin {
            Some(origin) => format!("{origin}: {}", report.message),
            None => report.message.clone(),
        };
        if let Some(help) = &report.help {
            text.push_str("\n  help: ");
            text.push_str(help);
        }
        text
    }

    /// Sets the place, unless a nearer one is known already.
    pub(crate) fn or_at(mut self, origin: &Origin) -> Self {
        let report = self.report_mut();
        if report.origin.is_none() && *origin != Origin::Builtin {
            report.origin = Some(origin.clone());
        }
        self
    }

    /// Sets the place; what the composer itself wrote is none.
    pub(crate) fn at(mut self, origin: Origin) -> Self {
        if origin != Origin::Builtin {
            self.report_mut().origin = Some(origin);
        }
        self
    }

    /// Sets the way out, unless there is one.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.report_mut().help.get_or_insert_with(|| help.into());
        self
    }

    /// Puts words before the message.
    pub(crate) fn in_context(mut self, context: fmt::Arguments<'_>) -> Self {
        let report = self.report_mut();
        report.message = format!("{context}: {}", report.message);
        self
    }
}

/// A report with a message and nothing else.
pub(crate) fn report(message: impl Into<String>) -> Box<Report> {
    Box::new(Report { message: message.into(), origin: None, help: None })
}

/// Builds an error: `fail!(UnknownKey, "no key '{key}'")`.
macro_rules! fail {
    ($variant:ident, $($message:tt)*) => {
        $crate::error::ConfigError::$variant($crate::error::report(format!($($message)*)))
    };
}
pub(crate) use fail;

/// The candidate nearest to what was typed, if one is near enough to be meant.
pub(crate) fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (typed.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *candidate != typed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
