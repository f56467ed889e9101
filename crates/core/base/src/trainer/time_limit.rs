//! `max_time`, as Lightning writes it.

use std::time::Duration;

use crate::{Error, Result};

/// Reads `DD:HH:MM:SS`.
pub(super) fn parse(text: &str) -> Result<Duration> {
    let parts: Vec<Option<u64>> = text.split(':').map(|part| part.parse().ok()).collect();
    match parts[..] {
        [Some(days), Some(hours), Some(minutes), Some(seconds)] => {
            Ok(Duration::from_secs(((days * 24 + hours) * 60 + minutes) * 60 + seconds))
        }
        _ => Err(Error::config(
            "trainer.max_time",
            format!("'{text}' is no time: write DD:HH:MM:SS, as in 00:12:00:00 for twelve hours"),
        )),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_hours_minutes_seconds() {
        assert_eq!(super::parse("01:02:03:04").unwrap().as_secs(), 93_784);
        assert!(super::parse("12:00").unwrap_err().to_string().contains("DD:HH:MM:SS"));
    }
}
