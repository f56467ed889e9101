//! From the journal to the store: records in order, many in one transaction, each exactly once.

use std::collections::VecDeque;

use super::Refusal;
use crate::{
    ErrorKind, JournalBatch, JournalError, MAX_BATCH_METRICS, MAX_BATCH_PARAMS, MAX_BATCH_TAGS, RunBatch,
    TrackingError, TrackingStore,
    journal::{Entry, Journal, JournalReader},
};

/// So often in a row that the store is to blame.
const MOST_DISPUTES: u32 = 20;

/// The state of a delivery.
#[derive(Debug)]
pub(super) struct Delivery {
    run_id: String,
    journal_id: String,
    reader: JournalReader,
    /// Records that were read and not delivered.
    buffer: VecDeque<Entry>,
    /// The store's position; `None` until it is asked, and after a failure, when it may have moved or not.
    position: Option<u64>,
    /// Records read so far that the store has.
    delivered: u64,
    /// Records that have to go alone, because the store refused them together.
    alone: usize,
    /// How often in a row the store stood elsewhere than it had said.
    disputes: u32,
    refused: Vec<Refusal>,
}

impl Delivery {
    pub(super) fn new(journal: &Journal) -> Result<Self, JournalError> {
        Ok(Self {
            run_id: journal.header.run_id.clone(),
            journal_id: journal.header.journal_id.clone(),
            reader: journal.reader()?,
            buffer: VecDeque::new(),
            position: None,
            delivered: 0,
            alone: 0,
            disputes: 0,
            refused: Vec::new(),
        })
    }

    /// Number of records that the store is known to have.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(super) fn take_refused(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refused)
    }

    /// Delivers some of the records that lie before the byte `end` of the journal; `false` where there are none left.
    pub(super) fn step(&mut self, store: &dyn TrackingStore, end: u64) -> Result<bool, TrackingError> {
        let position = match self.position {
            Some(position) => position,
            None => self.ask_position(store)?,
        };
        self.fill(position, end)?;
        let Some((count, records)) = self.next_batch(position) else { return Ok(false) };
        let last = records.last;
        match store.log_journal(&self.run_id, &records) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::InvalidParameter && count > 1 => {
                self.alone = count;
                return Ok(true);
            }
            Err(error) if error.kind() == ErrorKind::InvalidParameter => {
                self.deliver_piecewise(store, records)?
            }
            // Another process delivers the same journal, and was faster.
            Err(TrackingError::JournalOrder { .. }) if self.disputes < MOST_DISPUTES => {
                self.disputes += 1;
                self.position = None;
                return Ok(true);
            }
            Err(error) => {
                self.position = None;
                return Err(error);
            }
        }
        self.disputes = 0;
        self.position = Some(last);
        self.buffer.drain(..count);
        self.delivered += count as u64;
        self.alone = self.alone.saturating_sub(count);
        Ok(true)
    }

    /// Asks where the store stands and starts over in the file: the store may also be further back than it was, as after
    /// the return of a backup.
    fn ask_position(&mut self, store: &dyn TrackingStore) -> Result<u64, TrackingError> {
        let position = store.journal_position(&self.run_id, &self.journal_id)?;
        self.position = Some(position);
        self.buffer.clear();
        self.reader.rewind();
        self.delivered = 0;
        Ok(position)
    }

    /// Reads ahead, past what the store has.
    fn fill(&mut self, position: u64, end: u64) -> Result<(), JournalError> {
        let mut metrics: usize = self.buffer.iter().map(|entry| entry.batch.metrics.len()).sum();
        while metrics < MAX_BATCH_METRICS && self.buffer.len() < MAX_BATCH_METRICS {
            let Some(entry) = self.reader.next_before(end)? else { break };
            if entry.sequence <= position {
                self.delivered += 1;
            } else {
                metrics += entry.batch.metrics.len();
                self.buffer.push_back(entry);
            }
        }
        Ok(())
    }

    /// As many records as fit into one batch, and their number.
    fn next_batch(&self, position: u64) -> Option<(usize, JournalBatch)> {
        let mut records = JournalBatch {
            journal_id: self.journal_id.clone(),
            after: position,
            last: self.buffer.front()?.sequence,
            batch: RunBatch::default(),
            finish: None,
        };
        let mut count = 0;
        for entry in &self.buffer {
            let batch = &mut records.batch;
            let fits = batch.metrics.len() + entry.batch.metrics.len() <= MAX_BATCH_METRICS
                && batch.params.len() + entry.batch.params.len() <= MAX_BATCH_PARAMS
                && batch.tags.len() + entry.batch.tags.len() <= MAX_BATCH_TAGS;
            if count > 0 && (!fits || self.alone > 0) {
                break;
            }
            batch.metrics.extend_from_slice(&entry.batch.metrics);
            batch.params.extend_from_slice(&entry.batch.params);
            batch.tags.extend_from_slice(&entry.batch.tags);
            batch.model_metrics.extend_from_slice(&entry.batch.model_metrics);
            records.finish = entry.finish.or(records.finish);
            records.last = entry.sequence;
            count += 1;
        }
        Some((count, records))
    }

    /// Delivers the parts of a single record that the store accepts, and notes the others. The parts may be written
    /// again if this is interrupted: the same param twice is one param, and so are points and tags.
    fn deliver_piecewise(
        &mut self,
        store: &dyn TrackingStore,
        mut records: JournalBatch,
    ) -> Result<(), TrackingError> {
        let RunBatch { metrics, params, tags, model_metrics } = std::mem::take(&mut records.batch);
        let pieces = (params.into_iter())
            .map(|param| {
                (format!("param {}", param.key), RunBatch { params: vec![param], ..RunBatch::default() })
            })
            .chain(
                tags.into_iter().map(|tag| {
                    (format!("tag {}", tag.key), RunBatch { tags: vec![tag], ..RunBatch::default() })
                }),
            )
            .chain(metrics.into_iter().map(|metric| {
                (format!("metric {}", metric.key), RunBatch { metrics: vec![metric], ..RunBatch::default() })
            }))
            .chain(model_metrics.into_iter().map(|point| {
                let what = format!("metric {} of model {}", point.metric.key, point.model_id);
                (what, RunBatch { model_metrics: vec![point], ..RunBatch::default() })
            }));
        let mut refused = Vec::new();
        for (what, batch) in pieces {
            match store.log_batch(&self.run_id, &batch) {
                Err(error) if error.kind() == ErrorKind::InvalidParameter => {
                    refused.push(Refusal { what, reason: error.to_string() });
                }
                result => result?,
            }
        }
        store.log_journal(&self.run_id, &records)?;
        self.refused.extend(refused);
        Ok(())
    }
}
