//! What a training run writes to: a local journal at once, the tracking store in the background.
//!
//! A call appends to the journal and returns; it never waits for the store. A thread delivers the journal in order, each
//! record exactly once: the store keeps the journal's position in the transaction of the data, and refuses records that do
//! not continue it. While the store fails, the thread tries again with growing pauses. What is not delivered when the run
//! ends stays in the journal, for [`sync`].

mod delivery;
mod sender;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use self::{delivery::Delivery, sender::Shared};
use crate::{
    JournalError, MAX_BATCH_METRICS, MAX_BATCH_PARAMS, MAX_BATCH_TAGS, Metric, Param, RunBatch, RunFinish,
    RunStatus, Tag, TrackingError, TrackingStore,
    journal::{Journal, Tail},
    limits, now_ms,
};

/// How patient a recorder is.
#[derive(Debug, Clone)]
pub struct RecorderOptions {
    /// How long [`RunRecorder::finish`] waits for a store that cannot answer, without any progress.
    pub finish_timeout: Duration,
    /// How much of the journal a loss of power may cost at most: it is brought to the disk this often.
    pub sync_interval: Duration,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self { finish_timeout: Duration::from_secs(30), sync_interval: Duration::from_secs(1) }
    }
}

/// What became of a journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Records that the store has, those of earlier processes included.
    pub delivered: u64,
    /// Records that are still in the journal.
    pub pending: u64,
    /// The journal, where it still exists because records are pending.
    pub journal: Option<PathBuf>,
    /// What the store refused for good, such as a param that has another value already.
    pub refused: Vec<Refusal>,
    /// The store's last words, where records are pending.
    pub last_error: Option<String>,
    /// Bytes at the end of the journal that belonged to no whole record when it was opened.
    pub torn_bytes: u64,
}

/// Something that the store refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it was, such as `param lr`.
    pub what: String,
    /// The store's words.
    pub reason: String,
}

/// Records one run. Threads may share it.
#[derive(Debug)]
pub struct RunRecorder {
    run_id: String,
    options: RecorderOptions,
    journal: Mutex<Journal>,
    /// The params that went through this recorder, to refuse a second value at once.
    params: Mutex<HashMap<String, String>>,
    shared: Arc<Shared>,
}

impl RunRecorder {
    /// Starts to record the run `run_id`, which has to exist in the store, with the journal at `journal_path`: a new
    /// one, or one that the same run left behind, which is delivered first. The store is not asked: it may be down.
    ///
    /// # Errors
    /// [`JournalError`] where the journal cannot be written, belongs to another run or is in use.
    pub fn start(
        store: Arc<dyn TrackingStore>,
        journal_path: &Path,
        run_id: &str,
    ) -> Result<Self, TrackingError> {
        Self::start_with(store, journal_path, run_id, RecorderOptions::default())
    }

    /// As [`start`](Self::start), with other patience.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(
        store: Arc<dyn TrackingStore>,
        journal_path: &Path,
        run_id: &str,
        options: RecorderOptions,
    ) -> Result<Self, TrackingError> {
        let journal = Journal::start(journal_path, run_id)?;
        let shared = Arc::new(Shared::new(journal.length, journal.entries));
        let delivery = Delivery::new(&journal)?;
        sender::spawn(Arc::clone(&shared), store, delivery, journal_path)?;
        sender::spawn_syncer(Arc::clone(&shared), journal.syncer()?, options.sync_interval, journal_path)?;
        Ok(Self {
            run_id: run_id.to_owned(),
            options,
            journal: Mutex::new(journal),
            params: Mutex::default(),
            shared,
        })
    }

    /// The run.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Records metric points, any number of them.
    ///
    /// # Errors
    /// A key that breaks the rules (then nothing is recorded), or a journal that cannot be written.
    pub fn log_metrics(&self, metrics: &[Metric]) -> Result<(), TrackingError> {
        limits::check_metrics(metrics)?;
        metrics.chunks(MAX_BATCH_METRICS).try_for_each(|metrics| {
            self.append(RunBatch { metrics: metrics.to_vec(), ..RunBatch::default() }, None)
        })
    }

    /// Records params, any number of them. One that was recorded with the same value is fine.
    ///
    /// # Errors
    /// A key or value that breaks the rules or differs from the one recorded before (then nothing is recorded), or a
    /// journal that cannot be written.
    pub fn log_params(&self, params: &[Param]) -> Result<(), TrackingError> {
        limits::check_params(params)?;
        let mut known = self.params.lock().unwrap_or_else(PoisonError::into_inner);
        for Param { key, value } in params {
            if let Some(stored) = known.get(key).filter(|stored| *stored != value) {
                return Err(TrackingError::ParamConflict {
                    run_id: self.run_id.clone(),
                    key: key.clone(),
                    stored: stored.clone(),
                    given: value.clone(),
                });
            }
        }
        let new: Vec<Param> =
            params.iter().filter(|param| !known.contains_key(&param.key)).cloned().collect();
        for params in new.chunks(MAX_BATCH_PARAMS) {
            self.append(RunBatch { params: params.to_vec(), ..RunBatch::default() }, None)?;
            known.extend(params.iter().map(|param| (param.key.clone(), param.value.clone())));
        }
        Ok(())
    }

    /// Records tags, any number of them.
    ///
    /// # Errors
    /// A key or value that breaks the rules (then nothing is recorded), or a journal that cannot be written.
    pub fn set_tags(&self, tags: &[Tag]) -> Result<(), TrackingError> {
        limits::check_tags(tags)?;
        tags.chunks(MAX_BATCH_TAGS)
            .try_for_each(|tags| self.append(RunBatch { tags: tags.to_vec(), ..RunBatch::default() }, None))
    }

    /// Number of records that the store has not got yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.shared.pending()
    }

    /// Why the store has not got the pending records yet, while it cannot take them.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.shared.last_error()
    }

    /// Records the end of the run and waits until everything is delivered, or until the store has failed for
    /// [`RecorderOptions::finish_timeout`] without progress. A journal that is delivered is removed; one that is not
    /// stays, and the report names it.
    ///
    /// # Errors
    /// A journal that cannot be written or removed.
    pub fn finish(self, status: RunStatus) -> Result<DeliveryReport, TrackingError> {
        self.append(RunBatch::default(), Some(RunFinish { status, end_time: now_ms() }))?;
        self.journal().syncer()?.sync()?;
        let outcome = self.shared.close_and_wait(self.options.finish_timeout);
        let mut report = DeliveryReport {
            delivered: outcome.delivered,
            pending: outcome.recorded - outcome.delivered,
            refused: outcome.refused,
            torn_bytes: torn_bytes(self.journal().tail),
            ..DeliveryReport::default()
        };
        if report.pending == 0 {
            std::fs::remove_file(self.journal().path())
                .map_err(|error| JournalError::io(self.journal().path(), "remove the journal", error))?;
        } else {
            report.journal = Some(self.journal().path().to_path_buf());
            report.last_error = outcome.last_error;
        }
        Ok(report)
    }

    fn append(&self, batch: RunBatch, finish: Option<RunFinish>) -> Result<(), TrackingError> {
        let mut journal = self.journal();
        journal.append(batch, finish)?;
        self.shared.appended(journal.length, journal.entries);
        Ok(())
    }

    fn journal(&self) -> std::sync::MutexGuard<'_, Journal> {
        // An append that panicked has not moved the journal's length: the next one overwrites what it left.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunRecorder {
    fn drop(&mut self) {
        // Without `finish` the journal stays for `sync`; the threads end by themselves.
        self.shared.abandon();
    }
}

/// Delivers the journal that a process left behind, and removes it once the store has all of it. What the store has
/// already is not delivered again.
///
/// # Errors
/// A journal that is missing, in use, damaged (what precedes the damage is delivered) or of another kind; and the first
/// failure of the store, after which the same call may be tried again.
pub fn sync(journal_path: &Path, store: &dyn TrackingStore) -> Result<DeliveryReport, TrackingError> {
    let Some(journal) = Journal::open_left_over(journal_path)? else {
        // The process died before it had recorded anything.
        std::fs::remove_file(journal_path)
            .map_err(|error| JournalError::io(journal_path, "remove the journal", error))?;
        return Ok(DeliveryReport::default());
    };
    let mut delivery = Delivery::new(&journal)?;
    while delivery.step(store, journal.length)? {}
    let delivered = journal.entries;
    let torn_bytes = torn_bytes(journal.tail);
    if let Tail::Damaged { .. } = journal.tail {
        return Err(JournalError::Damaged { path: journal_path.to_path_buf(), offset: journal.length }.into());
    }
    journal.remove()?;
    Ok(DeliveryReport {
        delivered,
        torn_bytes,
        refused: delivery.take_refused(),
        ..DeliveryReport::default()
    })
}

fn torn_bytes(tail: Tail) -> u64 {
    match tail {
        Tail::Clean => 0,
        Tail::Torn { bytes } | Tail::Damaged { bytes } => bytes,
    }
}
