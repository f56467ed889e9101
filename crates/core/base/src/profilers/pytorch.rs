//! Operators, as libtorch's own profiler sees them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fulmen_contracts::event::{OperatorTime, Profile};
use fulmen_torch::profiler::{OperatorEvent, Recording};
use fulmen_utils::{atomic, ids};

use super::SimpleProfiler;
use crate::Result;
use crate::trainer::{Action, Profiler};

/// Batches that pass before anything is recorded, as in Lightning's default schedule.
const WAIT: u64 = 1;
/// Batches that are recorded and thrown away, since the profiler's own start would be in them.
const WARMUP: u64 = 1;
/// Batches that are recorded, once a run: a long run's trace stays small.
const ACTIVE: u64 = 3;

/// What `simple` measures, and the operators of three training batches, as a table and a trace for Perfetto.
#[derive(Debug)]
pub struct PytorchProfiler {
    simple: SimpleProfiler,
    cuda: bool,
    batches: u64,
    recording: Option<Recording>,
    operators: Vec<OperatorEvent>,
    /// Written beside, since the run's folder is only told at the end.
    trace: PathBuf,
}

impl PytorchProfiler {
    /// `cuda`: kernels of a GPU too.
    pub fn new(cuda: bool) -> Self {
        Self {
            simple: SimpleProfiler::default(),
            cuda,
            batches: 0,
            recording: None,
            operators: Vec::new(),
            trace: std::env::temp_dir().join(format!("fulmen-trace-{}.json", ids::short())),
        }
    }

    fn end(&mut self, keep: bool) -> Result<()> {
        if let Some(recording) = self.recording.take() {
            let events = recording.finish(keep.then_some(self.trace.as_path()))?;
            if keep {
                self.operators = events;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        self.recording = Some(Recording::start(self.cuda, true)?);
        Ok(())
    }
}

impl Profiler for PytorchProfiler {
    fn start(&mut self) -> Result<()> {
        self.simple.start()
    }

    fn enter(&mut self) {
        self.simple.enter();
    }

    fn leave(&mut self, action: Action<'_>, took: Duration) {
        self.simple.leave(action, took);
    }

    fn record(&mut self, action: Action<'_>, took: Duration) {
        self.simple.record(action, took);
    }

    fn step(&mut self) -> Result<()> {
        self.simple.step()?;
        self.batches += 1;
        match self.batches {
            WAIT => self.begin(),
            batches if batches == WAIT + WARMUP => {
                self.end(false)?;
                self.begin()
            }
            batches if batches == WAIT + WARMUP + ACTIVE => self.end(true),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, folder: &Path) -> Result<Profile> {
        // A run that was over before the schedule was: what there is of it.
        self.end(self.batches > WAIT + WARMUP)?;
        let mut profile = self.simple.finish(folder)?;
        profile.operators = operators(&self.operators);
        if !self.operators.is_empty() {
            let folder = folder.join("profile");
            atomic::write(&folder.join("operators.txt"), table(&profile.operators).as_bytes())?;
            let trace = fs::read(&self.trace).map_err(|error| atomic::WriteError::new(&self.trace, error))?;
            atomic::write(&folder.join("trace.json"), &trace)?;
            profile.files.extend(["profile/operators.txt", "profile/trace.json"].map(str::to_owned));
        }
        Ok(profile)
    }
}

impl Drop for PytorchProfiler {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = fs::remove_file(&self.trace);
    }
}

/// Time by operator, and its own time: without what it called on the same thread.
fn operators(events: &[OperatorEvent]) -> Vec<OperatorTime> {
    let mut order: Vec<&OperatorEvent> = events.iter().collect();
    // The outer before the inner, where both begin at once.
    order.sort_by_key(|event| (event.on_device, event.thread, event.start_ns, -event.end_ns));
    let mut found: HashMap<&str, OperatorTime> = HashMap::new();
    let mut open: Vec<&OperatorEvent> = Vec::new();
    for event in order {
        let seconds = (event.end_ns - event.start_ns).max(0) as f64 * 1e-9;
        while open.last().is_some_and(|outer| {
            (outer.thread, outer.on_device) != (event.thread, event.on_device)
                || outer.end_ns <= event.start_ns
        }) {
            open.pop();
        }
        if !event.on_device
            && let Some(outer) = open.last().and_then(|outer| found.get_mut(outer.name.as_str()))
        {
            outer.self_cpu_seconds -= seconds;
        }
        // An operator that calls itself counts once in its total.
        let nested = open.iter().any(|outer| outer.name == event.name);
        let one = found.entry(&event.name).or_insert_with(|| OperatorTime {
            name: event.name.clone(),
            calls: 0,
            self_cpu_seconds: 0.0,
            cpu_seconds: 0.0,
            device_seconds: 0.0,
        });
        one.calls += 1;
        if event.on_device {
            one.device_seconds += seconds;
        } else {
            one.self_cpu_seconds += seconds;
            one.cpu_seconds += if nested { 0.0 } else { seconds };
            open.push(event);
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by(|a, b| b.self_cpu_seconds.total_cmp(&a.self_cpu_seconds).then_with(|| a.name.cmp(&b.name)));
    found
}

fn table(operators: &[OperatorTime]) -> String {
    let width = operators.iter().map(|one| one.name.len()).max().unwrap_or(0).max(4);
    let whole: f64 = operators.iter().map(|one| one.self_cpu_seconds).sum();
    let device = operators.iter().any(|one| one.device_seconds > 0.0);
    let mut text = format!(
        "{:width$}  {:>12}  {:>10}  {:>12}  {:>8}",
        "Name", "Self CPU us", "Self CPU %", "CPU total us", "# calls"
    );
    text.push_str(if device { "     Device us\n" } else { "\n" });
    for one in operators {
        let _ = write!(
            text,
            "{:width$}  {:>12.1}  {:>10.2}  {:>12.1}  {:>8}",
            one.name,
            one.self_cpu_seconds * 1e6,
            100.0 * one.self_cpu_seconds / whole.max(f64::MIN_POSITIVE),
            one.cpu_seconds * 1e6,
            one.calls
        );
        let _ = if device { writeln!(text, "  {:>12.1}", one.device_seconds * 1e6) } else { writeln!(text) };
    }
    let _ = writeln!(text, "Self CPU time total: {:.1} us, over {ACTIVE} training batches", whole * 1e6);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, start_ns: i64, end_ns: i64, thread: u64) -> OperatorEvent {
        OperatorEvent {
            name: name.to_owned(),
            shapes: String::new(),
            start_ns,
            end_ns,
            thread,
            on_device: false,
        }
    }

    #[test]
    fn an_operators_own_time_is_without_what_it_called() {
        let events = [
            event("linear", 0, 100, 1),
            event("addmm", 10, 70, 1),
            event("copy", 20, 30, 1),
            event("add", 120, 130, 1),
            event("copy", 15, 65, 2),
        ];
        let times = operators(&events);
        let own = |name: &str| {
            let one = times.iter().find(|one| one.name == name).unwrap();
            ((one.self_cpu_seconds * 1e9).round() as i64, (one.cpu_seconds * 1e9).round() as i64, one.calls)
        };
        assert_eq!(own("linear"), (40, 100, 1));
        assert_eq!(own("addmm"), (50, 60, 1));
        assert_eq!(own("copy"), (60, 60, 2));
        assert_eq!(own("add"), (10, 10, 1));
    }
}
