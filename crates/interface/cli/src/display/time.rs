//! Times as people say them.

use std::time::Duration;

use fulmen_tracking::now_ms;

/// How long ago this was, in milliseconds since 1970.
pub(crate) fn ago(time: i64) -> String {
    let seconds = milliseconds(now_ms() - time).as_secs();
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A count of milliseconds, none where it is negative.
pub(crate) fn milliseconds(count: i64) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0))
}
