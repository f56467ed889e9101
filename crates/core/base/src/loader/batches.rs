//! The batches of an epoch, in order, read ahead by threads.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::desk::Desk;
use super::plan::{Plan, list};
use crate::{Batch, Error, Result};

/// The batches of an epoch, in order.
#[derive(Debug)]
pub struct Batches {
    plan: Arc<Plan>,
    next: u64,
    end: u64,
    /// How long a batch is waited for; none: for ever.
    timeout: Option<Duration>,
    /// One a thread, that of the next batch first: batch `i` comes from thread `i mod threads`, so that order never depends on speed.
    readers: VecDeque<Reader>,
}

/// A thread that reads ahead.
#[derive(Debug)]
struct Reader {
    ahead: Receiver<Result<Batch>>,
    desk: Desk,
}

/// Says what a batch is made of, by its number in the epoch: for a report on a loader that stands still.
pub(crate) type WaitingFor = Arc<dyn Fn(u64) -> String + Send + Sync>;

/// What [`Batches::next_timeout`] found.
#[derive(Debug)]
pub enum Next {
    /// The next batch, or why it cannot be had.
    Batch(Result<Batch>),
    /// The time ran out: what is being waited for.
    Waiting(Waiting),
    /// There is none left.
    End,
}

/// A batch that is being waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number in the epoch.
    pub batch: u64,
    /// Its samples.
    pub samples: Vec<usize>,
    /// The sample that is being read at this moment, as its dataset describes it, where the dataset tells.
    pub reading: Option<String>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {} ({})", self.batch, list(&self.samples))?;
        match &self.reading {
            Some(reading) => write!(f, ", now reading {reading}"),
            None => Ok(()),
        }
    }
}

impl Batches {
    /// Starts the threads for the batches `from..end`.
    pub(super) fn start(plan: Plan, from: u64, end: u64, num_workers: usize, prefetch: usize) -> Self {
        let plan = Arc::new(plan);
        let threads = end.saturating_sub(from).min(num_workers as u64);
        let readers = (0..threads).map(|worker| {
            let (send, ahead) = sync_channel(prefetch);
            let (desk, plan) = (Desk::default(), plan.clone());
            let own = desk.clone();
            // A thread that does not start drops its end of the channel, which the first wait for it then reports.
            let _ = thread::Builder::new().name(format!("loader {worker}")).spawn(move || {
                own.take();
                for batch in (from + worker..end).step_by(num_workers) {
                    // The receiver is gone when the epoch ended early: so ends this thread.
                    if send.send(plan.batch(batch)).is_err() {
                        break;
                    }
                }
            });
            Reader { ahead, desk }
        });
        Self { readers: readers.collect(), plan, next: from, end, timeout: None }
    }

    /// Fails where a batch takes longer than `timeout`.
    pub(super) fn within(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    /// Says, on another thread, what a batch from here on is made of and at which sample its thread is.
    pub(crate) fn watcher(&self) -> WaitingFor {
        let desks: Vec<Desk> = self.readers.iter().map(|reader| reader.desk.clone()).collect();
        let (plan, first) = (self.plan.clone(), self.next);
        Arc::new(move |batch| {
            let thread = batch.saturating_sub(first) as usize % desks.len().max(1);
            plan.waiting(batch, desks.get(thread).and_then(Desk::sample)).to_string()
        })
    }

    /// The next batch if it comes within `timeout`; else what is being waited for, and another call goes on waiting. Without threads
    /// the batch is made by this very call, however long that takes.
    pub fn next_timeout(&mut self, timeout: Duration) -> Next {
        let Some(reader) = self.readers.front().filter(|_| self.next < self.end) else {
            return self.next().map_or(Next::End, Next::Batch);
        };
        match reader.ahead.recv_timeout(timeout) {
            Ok(batch) => Next::Batch(self.arrived(batch)),
            Err(RecvTimeoutError::Disconnected) => Next::Batch(self.arrived(Err(self.deserted()))),
            Err(RecvTimeoutError::Timeout) => Next::Waiting(self.waiting_for()),
        }
    }

    /// The next batch, as far as it can be told now.
    pub fn waiting_for(&self) -> Waiting {
        self.plan.waiting(self.next, self.readers.front().and_then(|reader| reader.desk.sample()))
    }

    /// Moves on to the next batch and the thread that reads it.
    fn arrived(&mut self, batch: Result<Batch>) -> Result<Batch> {
        self.next += 1;
        if self.readers.len() > 1 {
            self.readers.rotate_left(1);
        }
        batch
    }

    fn stalled(&self, timeout: Duration) -> Error {
        let waiting = self.waiting_for();
        Error::Stalled { batch: waiting.batch, samples: waiting.to_string(), seconds: timeout.as_secs() }
    }

    fn deserted(&self) -> Error {
        let Waiting { batch, samples, .. } = self.waiting_for();
        let message =
            "its thread did not start, or ended without it: see the log above, or lower dataloader.num_workers"
                .to_owned();
        Error::Loader { batch, samples: list(&samples), message }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let batch = match self.readers.front() {
            Some(reader) => match self.timeout {
                None => reader.ahead.recv().unwrap_or_else(|_| Err(self.deserted())),
                Some(timeout) => reader.ahead.recv_timeout(timeout).unwrap_or_else(|error| {
                    Err(match error {
                        RecvTimeoutError::Disconnected => self.deserted(),
                        RecvTimeoutError::Timeout => self.stalled(timeout),
                    })
                }),
            },
            None => self.plan.batch(self.next),
        };
        Some(self.arrived(batch))
    }
}
