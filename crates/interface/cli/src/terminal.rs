//! What is written to the user. A reader that went away (`fulmen runs list | head`) is no error.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

/// For what matters.
pub(crate) const BOLD: Style = Style::new().bold();
/// For what is beside the point.
pub(crate) const DIM: Style = Style::new().dimmed();
/// For what went well.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
/// For what needs a look.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// For what went wrong.
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
/// For what can be typed.
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();

/// A line on standard output.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// Text on standard output, as it is.
pub(crate) fn print(text: impl Display) {
    let _ = write!(anstream::stdout(), "{text}");
}

/// A line on standard error.
pub(crate) fn tell(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A value as one line of JSON on standard output.
pub(crate) fn say_json(value: &impl serde::Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        say(text);
    }
}

/// `text` in `style`.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Whether people look at standard error: bars are drawn there.
pub(crate) fn draws() -> bool {
    std::io::stderr().is_terminal()
}
