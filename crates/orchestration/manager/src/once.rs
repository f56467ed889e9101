//! Each measured value in the tracking store once, however often a run was stopped and went on.
//!
//! A run that goes on from a checkpoint measures again what it had measured after that checkpoint, and gets the same values at
//! the same steps. What the store has of a key at a step is therefore passed over as often as the store has it.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use fulmen_contracts::Event;
use fulmen_tracking::{HistoryQuery, Metric, Run, TrackingError, TrackingStore};

/// What the store has of a run and what the run has not come by again yet.
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<(String, i64), u64>);

impl Known {
    /// Everything that the store has of `run`.
    pub(crate) fn of(store: &dyn TrackingStore, run: &Run) -> Result<Self, TrackingError> {
        let mut known = Self::default();
        for latest in &run.data.metrics {
            let (run_id, key) = (run.info.run_id.clone(), latest.key.clone());
            let mut query = HistoryQuery { run_id, key, ..HistoryQuery::default() };
            loop {
                let page = store.metric_history(&query)?;
                for Metric { key, step, .. } in page.items {
                    *known.0.entry((key, step)).or_default() += 1;
                }
                match page.next_page_token {
                    Some(token) => query.page_token = Some(token),
                    None => break,
                }
            }
        }
        Ok(known)
    }

    /// Whether a value is new to the store.
    pub(crate) fn is_new(&mut self, metric: &Metric) -> bool {
        if self.0.is_empty() {
            return true;
        }
        match self.0.get_mut(&(metric.key.clone(), metric.step)) {
            Some(times) if *times > 0 => {
                *times -= 1;
                false
            }
            _ => true,
        }
    }
}

/// The events in the first `length` bytes of a run's record, which its checkpoint vouches for.
pub(crate) fn recorded(path: &Path, length: u64) -> impl Iterator<Item = Event> {
    let lines = fs::File::open(path).ok().map(|file| BufReader::new(file.take(length)).lines());
    // A line that cannot be read is no event of this program's making; the others are none the worse for it.
    lines.into_iter().flatten().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok())
}
