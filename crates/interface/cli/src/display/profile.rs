//! Where the time of training went.

use fulmen_contracts::event::{Profile, Timed};

use super::table::{self, Align};
use crate::terminal::{BOLD, DIM, styled};

/// Rows of a long table that are shown; the file has all.
const ROWS: usize = 12;

/// The phases of a step, the hooks that took longest and, where they were recorded, the operators that did.
pub(crate) fn text(profile: &Profile) -> String {
    let wall = profile.wall_seconds.max(f64::MIN_POSITIVE);
    let batches = profile.batches.max(1) as f64;
    let share = |seconds: f64| format!("{:.1}%", 100.0 * seconds / wall);
    let phase = |timed: &Timed| {
        vec![timed.name.clone(), time(timed.seconds), time(timed.seconds / batches), share(timed.seconds)]
    };
    let total = Timed { name: "total".to_owned(), calls: profile.batches, seconds: profile.wall_seconds };
    let phases: Vec<_> = profile.phases.iter().chain([&total]).map(phase).collect();
    let columns = |first, second, third, fourth| {
        [(first, Align::Left), (second, Align::Right), (third, Align::Right), (fourth, Align::Right)]
    };
    let heading = format!("where the time of {} training batches went", profile.batches);
    let mut parts =
        vec![styled(BOLD, heading), table::text(&columns("phase", "in all", "a batch", "share"), &phases)];
    let action = |timed: &Timed| {
        let mean = timed.seconds / timed.calls.max(1) as f64;
        vec![timed.name.clone(), timed.calls.to_string(), time(mean), share(timed.seconds)]
    };
    let actions: Vec<_> = profile.actions.iter().take(ROWS).map(action).collect();
    parts.push(table::text(&columns("action", "calls", "mean", "share"), &actions));
    if !profile.operators.is_empty() {
        let whole: f64 = profile.operators.iter().map(|one| one.self_cpu_seconds).sum();
        let rows: Vec<_> = profile
            .operators
            .iter()
            .take(ROWS)
            .map(|one| {
                let share = 100.0 * one.self_cpu_seconds / whole.max(f64::MIN_POSITIVE);
                vec![
                    one.name.clone(),
                    one.calls.to_string(),
                    time(one.self_cpu_seconds),
                    format!("{share:.1}%"),
                ]
            })
            .collect();
        parts.push(table::text(&columns("operator", "calls", "self CPU", "share"), &rows));
    }
    parts.push(styled(DIM, format!("all of it: {}", profile.files.join(", "))));
    parts.join("\n\n")
}

/// `1.24 s`, `310 ms`, `4.2 µs`.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        long if long >= 1.0 => (long, "s"),
        middle if middle >= 1e-3 => (middle * 1e3, "ms"),
        short => (short * 1e6, "µs"),
    };
    if value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.2} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_shown_with_their_share_and_the_whole_below() {
        let timed = |name: &str, seconds| Timed { name: name.to_owned(), calls: 10, seconds };
        let profile = Profile {
            wall_seconds: 2.0,
            batches: 10,
            phases: vec![timed("forward", 1.5), timed("rest", 0.5)],
            actions: vec![timed("[Model].step", 1.5)],
            files: vec!["profile/simple.txt".to_owned()],
            ..Profile::default()
        };
        let shown = anstream::adapter::strip_str(&text(&profile)).to_string();
        assert!(shown.contains("forward  1.50 s    150 ms   75.0%"), "{shown}");
        assert!(shown.contains("total    2.00 s    200 ms  100.0%"), "{shown}");
        assert!(shown.contains("profile/simple.txt"));
    }
}
