//! Errors, with the line that they are about.

use std::fs;

use fulmen_configuration::Origin;

use crate::error::CliError;
use crate::terminal::{BOLD, CYAN, RED, styled, tell};

/// Shows an error on standard error: what is wrong, where, what to do.
pub(crate) fn show(error: &CliError) {
    match error {
        CliError::Config(error) => one(&error.report().message, error.origin(), error.help()),
        CliError::Problems(problems) => {
            for problem in &problems.0 {
                one(&problem.to_string(), problem.origin.as_ref(), None);
            }
        }
        other => one(&other.to_string(), None, None),
    }
    let mut cause = std::error::Error::source(error);
    while let Some(below) = cause {
        tell(format!("  because: {below}"));
        cause = below.source();
    }
}

fn one(message: &str, origin: Option<&Origin>, help: Option<&str>) {
    tell(format!("{}: {}", styled(RED, "error"), styled(BOLD, message)));
    match origin {
        Some(Origin::File { file, line, column }) => {
            tell(format!("  {} {file}:{line}:{column}", styled(CYAN, "-->")));
            let text = fs::read_to_string(&**file).unwrap_or_default();
            if let Some(source) = (*line as usize).checked_sub(1).and_then(|index| text.lines().nth(index)) {
                pointed(&line.to_string(), source, *column);
            }
        }
        Some(Origin::Override { text, column, .. }) => {
            tell(format!("  {} command line", styled(CYAN, "-->")));
            pointed("", text, *column);
        }
        _ => {}
    }
    if let Some(help) = help {
        tell(format!("  {}: {help}", styled(CYAN, "help")));
    }
}

/// The line, and a mark under the column.
fn pointed(number: &str, source: &str, column: u32) {
    let margin = " ".repeat(number.len());
    let before: String = source
        .chars()
        .take((column as usize).saturating_sub(1))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    tell(format!("  {number} | {source}"));
    tell(format!("  {margin} | {before}{}", styled(RED, "^")));
}
