//! Numbers and times as people read them.

use std::time::Duration;

/// `1.5 GiB`, `12 KiB`, `7 B`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// `11 689 512` as `11.7 M`, `430` as `430`.
pub fn count(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{:.1} K", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", number as f64 / 1e6),
        _ => format!("{:.1} B", number as f64 / 1e9),
    }
}

/// `0:07`, `12:05`, `1:02:03`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_as_people_write_them() {
        assert_eq!(
            (bytes(7), bytes(1536), bytes(500 << 20)),
            ("7 B".into(), "1.5 KiB".into(), "500 MiB".into())
        );
        assert_eq!((count(430), count(11_689_512)), ("430".into(), "11.7 M".into()));
        assert_eq!(
            (clock(Duration::from_secs(7)), clock(Duration::from_secs(3723))),
            ("0:07".into(), "1:02:03".into())
        );
    }
}
