//! What each thread is reading at the moment, so that a loader that is stuck can say at which sample.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// No sample.
const NOTHING: usize = usize::MAX;

/// The sample that a thread is reading, for other threads to see.
#[derive(Debug, Clone)]
pub(super) struct Desk(Arc<AtomicUsize>);

impl Default for Desk {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(NOTHING)))
    }
}

impl Desk {
    /// The sample on it.
    pub(super) fn sample(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&sample| sample != NOTHING)
    }

    /// Makes it the desk of this thread.
    pub(super) fn take(self) {
        OWN.set(self);
    }
}

thread_local! {
    static OWN: RefCell<Desk> = RefCell::new(Desk::default());
}

/// Told by a dataset, in [`crate::Dataset::batch`], before it reads a sample that may take long: costs a few nanoseconds.
pub fn reading(sample: usize) {
    OWN.with_borrow(|desk| desk.0.store(sample, Ordering::Relaxed));
}

/// The sample that this thread is reading.
pub(super) fn now() -> Option<usize> {
    OWN.with_borrow(Desk::sample)
}

/// Nothing is being read.
pub(super) fn clear() {
    reading(NOTHING);
}
