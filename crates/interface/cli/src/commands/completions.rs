//! Completion of commands, config groups, options and keys.

use std::ffi::OsStr;

use clap_complete::CompletionCandidate;
use fulmen_contracts::ExitCode;

use crate::arguments::{Shell, SourceArguments};
use crate::embedded;
use crate::error::CliError;
use crate::terminal::say;

/// Prints what a shell is to load at its start.
pub(crate) fn run(shell: Shell) -> Result<ExitCode, CliError> {
    let line = match shell {
        Shell::Bash => "source <(COMPLETE=bash fulmen)",
        Shell::Zsh => "source <(COMPLETE=zsh fulmen)",
        Shell::Fish => "COMPLETE=fish fulmen | source",
    };
    say(format!("# In your shell's start-up file:\n{line}"));
    Ok(ExitCode::Success)
}

/// What an override that begins so could be.
pub(crate) fn overrides(begun: &OsStr) -> Vec<CompletionCandidate> {
    let source = SourceArguments {
        config_dir: std::env::var_os("FULMEN_CONFIG_DIR").map(Into::into),
        config_name: "config".to_owned(),
    };
    let Ok(source) = embedded::source(&source) else { return Vec::new() };
    let word = begun.to_string_lossy();
    let found =
        fulmen_configuration::info::complete(&source.composer(), Some(&source.config_name), &[], &word);
    found.unwrap_or_default().into_iter().map(CompletionCandidate::new).collect()
}
