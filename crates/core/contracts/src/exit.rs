//! How a program of Fulmen ends, for scripts to trust.

/// Exit codes of `fulmen` and `fulmen-worker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All that was asked for is done.
    Success = 0,
    /// The run began and failed: its record says why.
    Failure = 1,
    /// What was asked for cannot be done as it was asked: the message names the file, key or argument.
    BadInput = 2,
    /// Stopped by Ctrl-C or a signal, state saved: it can be resumed.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
