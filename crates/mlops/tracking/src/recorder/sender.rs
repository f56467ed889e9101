//! The recorder's threads: one delivers the journal, one brings it to the disk.

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Refusal, delivery::Delivery};
use crate::{ErrorKind, JournalError, TrackingError, TrackingStore, journal::JournalSyncer};

/// The sender waits this long for more records before it starts a transaction.
const LINGER: Duration = Duration::from_millis(100);
/// First pause after a failure of the store; each further one is twice as long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Pauses are no longer than this once the run has ended and waits.
const LONGEST_PAUSE_AT_END: Duration = Duration::from_secs(1);

/// What the recorder and its threads tell each other.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone)]
struct State {
    /// Length of the journal's whole records, in bytes.
    length: u64,
    /// Entries of the journal.
    recorded: u64,
    /// Those that the store has.
    delivered: u64,
    /// The run has ended: nothing more will be appended.
    closing: bool,
    /// Nobody waits any more.
    abandoned: bool,
    /// The sender has ended.
    sender_done: bool,
    refused: Vec<Refusal>,
    last_error: Option<String>,
    /// When the sender last got somewhere.
    last_progress: Instant,
}

/// What the sender achieved.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) delivered: u64,
    pub(super) recorded: u64,
    pub(super) refused: Vec<Refusal>,
    pub(super) last_error: Option<String>,
}

impl Shared {
    pub(super) fn new(length: u64, recorded: u64) -> Self {
        let state = State {
            length,
            recorded,
            delivered: 0,
            closing: false,
            abandoned: false,
            sender_done: false,
            refused: Vec::new(),
            last_error: None,
            last_progress: Instant::now(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn appended(&self, length: u64, recorded: u64) {
        let mut state = self.lock();
        state.length = length;
        state.recorded = recorded;
        self.changed.notify_all();
    }

    pub(super) fn pending(&self) -> u64 {
        let state = self.lock();
        state.recorded - state.delivered
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    pub(super) fn abandon(&self) {
        self.lock().abandoned = true;
        self.changed.notify_all();
    }

    /// Tells the sender that nothing more comes, and waits until it is done or makes no progress for `timeout`.
    pub(super) fn close_and_wait(&self, timeout: Duration) -> Outcome {
        let mut state = self.lock();
        state.closing = true;
        state.last_progress = Instant::now();
        self.changed.notify_all();
        while !state.sender_done {
            let waited = state.last_progress.elapsed();
            if waited >= timeout {
                break;
            }
            state = self.wait(state, timeout - waited);
        }
        let State { delivered, recorded, refused, last_error, .. } = state.clone();
        Outcome { delivered, recorded, refused, last_error }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for `pause`, or less if `until` holds before.
    fn pause(&self, pause: Duration, until: impl Fn(&State) -> bool) {
        let begin = Instant::now();
        let mut state = self.lock();
        while !until(&state) && begin.elapsed() < pause {
            state = self.wait(state, pause.saturating_sub(begin.elapsed()));
        }
    }
}

/// Starts the thread that delivers.
pub(super) fn spawn(
    shared: Arc<Shared>,
    store: Arc<dyn TrackingStore>,
    delivery: Delivery,
    journal_path: &Path,
) -> Result<(), JournalError> {
    start_thread("fulmen-tracking-sender", journal_path, move || {
        send(&shared, store.as_ref(), delivery);
        shared.lock().sender_done = true;
        shared.changed.notify_all();
    })
}

fn send(shared: &Shared, store: &dyn TrackingStore, mut delivery: Delivery) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let mut state = shared.lock();
        while state.delivered == state.recorded && !state.closing && !state.abandoned {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let is_closing = state.closing;
        if state.abandoned || (is_closing && state.delivered == state.recorded) {
            return;
        }
        drop(state);
        shared.pause(LINGER, |state| state.closing || state.abandoned);

        let length = shared.lock().length;
        let result = delivery.step(store, length);
        let mut state = shared.lock();
        if delivery.delivered() > state.delivered {
            state.delivered = delivery.delivered();
            state.last_progress = Instant::now();
        }
        state.refused.extend(delivery.take_refused());
        shared.changed.notify_all();
        match result {
            Ok(_) => {
                state.last_error = None;
                pause = SHORTEST_PAUSE;
            }
            Err(error) => {
                let was_closing = state.closing;
                state.last_error = Some(with_causes(&error));
                // At the end there is no point in waiting for what waiting does not mend.
                if was_closing && !is_passing(&error) {
                    return;
                }
                drop(state);
                let longest = if was_closing { LONGEST_PAUSE_AT_END } else { LONGEST_PAUSE };
                shared.pause(pause.min(longest), |state| state.abandoned || state.closing != was_closing);
                pause = (pause * 2).min(longest);
            }
        }
    }
}

/// Whether the same delivery may succeed a little later.
fn is_passing(error: &TrackingError) -> bool {
    error.kind() == ErrorKind::Unavailable || matches!(error, TrackingError::JournalOrder { .. })
}

/// Starts the thread that brings the journal to the disk, at most once per `interval`.
pub(super) fn spawn_syncer(
    shared: Arc<Shared>,
    syncer: JournalSyncer,
    interval: Duration,
    journal_path: &Path,
) -> Result<(), JournalError> {
    start_thread("fulmen-journal-syncer", journal_path, move || {
        let mut synced = 0;
        loop {
            let mut state = shared.lock();
            while state.length == synced && !state.closing && !state.abandoned {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            // `finish` brings the last part to the disk itself.
            if state.closing || state.abandoned {
                return;
            }
            let length = state.length;
            drop(state);
            // A failure shows again in the next append or in `finish`.
            if syncer.sync().is_ok() {
                synced = length;
            }
            shared.pause(interval, |state| state.closing || state.abandoned);
        }
    })
}

fn start_thread(
    name: &str,
    journal_path: &Path,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), JournalError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| JournalError::io(journal_path, "start a thread for the journal", error))
}

/// The error with its causes, which its own text leaves out.
fn with_causes(error: &TrackingError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
