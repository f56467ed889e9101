//! Tells when the loader stands still, with the batch that is waited for.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fulmen_contracts::event::Level;

use crate::events::EventSink;
use crate::loader::WaitingFor;

/// Watches how long training waits for a batch; a thread of its own, since the one that waits can say nothing.
pub(super) struct StallWatch(Option<Arc<Shared>>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Since when, and for which batch.
    waiting: Option<(Instant, u64)>,
    /// What that batch is made of.
    describe: Option<WaitingFor>,
    told: bool,
    ended: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StallWatch {
    /// Warns where a batch takes longer than `limit`; none never does.
    pub(super) fn start(limit: Option<Duration>, events: EventSink) -> Self {
        let Some(limit) = limit else { return Self(None) };
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let watched = shared.clone();
        thread::spawn(move || watch(&watched, limit, &events));
        Self(Some(shared))
    }

    /// Whose batches are waited for from now on.
    pub(super) fn follow(&self, describe: WaitingFor) {
        if let Some(shared) = &self.0 {
            shared.state().describe = Some(describe);
        }
    }

    /// Training waits for a batch.
    pub(super) fn waiting(&self, batch: u64) {
        if let Some(shared) = &self.0 {
            let mut state = shared.state();
            (state.waiting, state.told) = (Some((Instant::now(), batch)), false);
        }
    }

    /// It has come.
    pub(super) fn arrived(&self) {
        if let Some(shared) = &self.0 {
            shared.state().waiting = None;
        }
    }
}

impl Drop for StallWatch {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.state().ended = true;
            shared.changed.notify_all();
        }
    }
}

impl fmt::Debug for StallWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StallWatch")
    }
}

fn watch(shared: &Shared, limit: Duration, events: &EventSink) {
    let mut state = shared.state();
    while !state.ended {
        // Looked at a few times within the limit: the step that waits wakes nobody.
        let (back, _) = shared.changed.wait_timeout(state, limit / 4).unwrap_or_else(PoisonError::into_inner);
        state = back;
        let Some((since, batch)) = state.waiting.filter(|(since, _)| since.elapsed() >= limit) else {
            continue;
        };
        if state.told {
            continue;
        }
        state.told = true;
        let what =
            state.describe.as_ref().map_or_else(|| format!("batch {batch}"), |describe| describe(batch));
        let seconds = since.elapsed().as_secs();
        events.log(
            Level::Warning,
            format!(
                "the loader has given no batch for {seconds} s; waited for is {what}. A file that hangs, a slow disk or transform? dataloader.timeout ends the run instead, dataloader.stall_warning=null is silent"
            ),
        );
    }
}
