//! Time by hook and by phase.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use fulmen_contracts::event::{Profile, Timed};
use fulmen_utils::atomic;

use crate::trainer::{Action, Profiler};
use crate::{Hook, Result};

/// The phases of training, in the order in which a step passes through them; `rest` is what none of them is.
const PHASES: [&str; 8] =
    ["data", "transfer", "forward", "backward", "optimizer", "callbacks", "validation", "checkpoint"];

/// Measures each hook of each callback, and the phases of a step.
#[derive(Debug)]
pub struct SimpleProfiler {
    began: Instant,
    batches: u64,
    phases: [Spent; PHASES.len()],
    /// What is going on and has others within it, the outermost first.
    open: Vec<Open>,
    hooks: HashMap<Hook, Vec<(String, Spent)>>,
    /// As `phases`, with all that is within each.
    whole: [Spent; PHASES.len()],
}

/// Something that others are within.
#[derive(Debug)]
struct Open {
    /// The time of those within.
    within: Duration,
    /// Phases as they were when it began.
    phases: [Spent; PHASES.len()],
}

/// Calls, and the time of all of them.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    calls: u64,
    time: Duration,
}

impl Spent {
    fn add(&mut self, time: Duration) {
        self.calls += 1;
        self.time += time;
    }

    fn timed(self, name: impl Into<String>) -> Timed {
        Timed { name: name.into(), calls: self.calls, seconds: self.time.as_secs_f64() }
    }
}

impl Default for SimpleProfiler {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            batches: 0,
            phases: Default::default(),
            open: Vec::new(),
            hooks: HashMap::new(),
            whole: Default::default(),
        }
    }
}

impl SimpleProfiler {
    fn count(&mut self, action: Action<'_>, took: Duration, own: Duration) {
        let phase = phase(action);
        match action {
            Action::Hook(owner, hook) => {
                let owners = self.hooks.entry(hook).or_default();
                match owners.iter_mut().find(|(known, _)| known == owner) {
                    Some((_, spent)) => spent.add(took),
                    None => owners.push((owner.to_owned(), Spent { calls: 1, time: took })),
                }
            }
            _ => self.whole[phase].add(took),
        }
        if let Some(around) = self.open.last_mut() {
            around.within += took;
        }
        self.phases[phase].add(own);
    }

    fn actions(&self) -> Vec<Timed> {
        let plain = [
            Action::Data,
            Action::Transfer,
            Action::Forward,
            Action::Backward,
            Action::Optimizer,
            Action::Validation,
            Action::Checkpoint,
        ];
        let plain = plain.map(|action| self.whole[phase(action)].timed(action.name()));
        let hooks = self.hooks.iter().flat_map(|(hook, owners)| {
            owners.iter().map(|(owner, spent)| spent.timed(Action::Hook(owner, *hook).name()))
        });
        let mut actions: Vec<_> = plain.into_iter().chain(hooks).filter(|timed| timed.calls > 0).collect();
        actions.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.name.cmp(&b.name)));
        actions
    }

    /// What was measured so far.
    pub fn profile(&self) -> Profile {
        let wall = self.began.elapsed();
        let phases = PHASES.iter().zip(self.phases).map(|(name, spent)| spent.timed(*name));
        let mut phases: Vec<Timed> = phases.collect();
        let measured: Duration = self.phases.iter().map(|spent| spent.time).sum();
        let rest = Spent { calls: self.batches, time: wall.saturating_sub(measured) };
        phases.push(rest.timed("rest"));
        Profile {
            wall_seconds: wall.as_secs_f64(),
            batches: self.batches,
            phases,
            actions: self.actions(),
            operators: Vec::new(),
            files: Vec::new(),
        }
    }
}

fn phase(action: Action<'_>) -> usize {
    match action {
        Action::Data => 0,
        Action::Transfer => 1,
        Action::Forward => 2,
        Action::Backward => 3,
        Action::Optimizer => 4,
        Action::Hook(..) => 5,
        Action::Validation => 6,
        Action::Checkpoint => 7,
    }
}

impl Profiler for SimpleProfiler {
    fn start(&mut self) -> Result<()> {
        *self = Self::default();
        Ok(())
    }

    fn enter(&mut self) {
        self.open.push(Open { within: Duration::ZERO, phases: self.phases });
    }

    fn leave(&mut self, action: Action<'_>, took: Duration) {
        let Some(Open { within, phases }) = self.open.pop() else { return };
        if action == Action::Validation {
            // One phase, whatever happens within it.
            self.phases = phases;
            self.count(action, took, took);
        } else {
            self.count(action, took, took.saturating_sub(within));
        }
    }

    fn record(&mut self, action: Action<'_>, took: Duration) {
        self.count(action, took, took);
    }

    fn step(&mut self) -> Result<()> {
        self.batches += 1;
        Ok(())
    }

    fn finish(&mut self, folder: &Path) -> Result<Profile> {
        let mut profile = self.profile();
        let folder = folder.join("profile");
        atomic::create_folder(&folder)?;
        atomic::write(&folder.join("simple.txt"), table(&profile).as_bytes())?;
        profile.files.push("profile/simple.txt".to_owned());
        Ok(profile)
    }
}

/// Phases, then actions, as Lightning's profiler prints them.
fn table(profile: &Profile) -> String {
    let wall = profile.wall_seconds.max(f64::MIN_POSITIVE);
    let row = |timed: &Timed| {
        let mean = timed.seconds / timed.calls.max(1) as f64;
        [
            timed.name.clone(),
            format!("{mean:.3e}"),
            timed.calls.to_string(),
            format!("{:.5}", timed.seconds),
            format!("{:.4}", 100.0 * timed.seconds / wall),
        ]
    };
    let total = [
        "Total".to_owned(),
        "-".to_owned(),
        profile.batches.to_string(),
        format!("{wall:.5}"),
        "100".to_owned(),
    ];
    let header =
        ["Action", "Mean duration (s)", "Num calls", "Total time (s)", "Percentage %"].map(str::to_owned);
    let mut text = "FIT Profiler Report\n".to_owned();
    for (first, rows) in [("Phase", &profile.phases), ("Action", &profile.actions)] {
        let mut header = header.clone();
        first.clone_into(&mut header[0]);
        let rows: Vec<_> = [header, total.clone()].into_iter().chain(rows.iter().map(row)).collect();
        let widths: Vec<usize> =
            (0..5).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or_default()).collect();
        let rule = "-".repeat(widths.iter().sum::<usize>() + 5 * 5 + 1);
        let _ = writeln!(text, "{rule}");
        for (index, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("  {cell:width$}  |"));
            let _ = writeln!(text, "|{}", cells.collect::<String>());
            if index < 2 {
                let _ = writeln!(text, "{rule}");
            }
        }
        let _ = writeln!(text, "{rule}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_within_another_is_counted_once_among_the_phases() {
        let mut profiler = SimpleProfiler::default();
        profiler.record(Action::Data, 2 * MS);
        profiler.enter();
        profiler.record(Action::Backward, 3 * MS);
        profiler.record(Action::Hook("early", Hook::AfterBackward), MS);
        profiler.leave(Action::Forward, 10 * MS);
        profiler.enter();
        profiler.record(Action::Data, 4 * MS);
        profiler.leave(Action::Validation, 20 * MS);
        let profile = profiler.profile();
        let seconds = |list: &[Timed], name: &str| {
            list.iter().find(|timed| timed.name == name).map(|timed| (timed.seconds * 1e3).round() as i64)
        };
        assert_eq!(seconds(&profile.phases, "forward"), Some(6));
        assert_eq!(seconds(&profile.phases, "backward"), Some(3));
        assert_eq!(seconds(&profile.phases, "callbacks"), Some(1));
        assert_eq!(seconds(&profile.phases, "validation"), Some(20));
        assert_eq!(seconds(&profile.phases, "data"), Some(2));
        assert_eq!(seconds(&profile.actions, "[Model].step"), Some(10));
        assert_eq!(seconds(&profile.actions, "[DataLoader].next"), Some(6));
        assert_eq!(seconds(&profile.actions, "[Callback]early.on_after_backward"), Some(1));
    }
}
