//! Where events go.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fulmen_contracts::Event;
use fulmen_contracts::event::Level;

use crate::Result;
use crate::record::MetricsRecord;

/// Takes events, from any thread, in order; cheap to clone.
#[derive(Clone)]
pub struct EventSink {
    take: Arc<dyn Fn(Event) + Send + Sync>,
    record: Option<Arc<MetricsRecord>>,
}

impl EventSink {
    /// Hands each event to `take`.
    pub fn new(take: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self { take: Arc::new(take), record: None }
    }

    /// As this one; metrics go into `record` too.
    #[must_use]
    pub fn recording(&self, record: MetricsRecord) -> Self {
        Self { take: self.take.clone(), record: Some(Arc::new(record)) }
    }

    /// Takes an event.
    pub fn send(&self, event: Event) {
        (self.take)(event);
    }

    /// Takes metrics: into the run's record first, so that nobody has seen what a resumed run does not know of.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn send_metrics(&self, event: Event) -> Result<()> {
        if let Some(record) = &self.record {
            record.append(&event)?;
        }
        self.send(event);
        Ok(())
    }

    /// Length of the run's record, in bytes; 0 where there is none.
    pub(crate) fn recorded(&self) -> u64 {
        self.record.as_ref().map_or(0, |record| record.position())
    }

    /// Forgets what was recorded after the checkpoint that the run goes on from.
    pub(crate) fn cut_record(&self, position: u64) -> Result<()> {
        self.record.as_ref().map_or(Ok(()), |record| record.cut_back(position))
    }

    /// Brings the record to the disk.
    pub(crate) fn sync_record(&self) -> Result<()> {
        self.record.as_ref().map_or(Ok(()), |record| record.sync())
    }

    /// Tells people.
    pub fn log(&self, level: Level, message: impl Into<String>) {
        self.send(Event::Log { level, message: message.into() });
    }
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventSink")
    }
}

/// Set from a signal handler or by a user interface: the run is to end at the next step.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(pub Arc<AtomicBool>);

impl StopSignal {
    /// Whether the run is to end.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks the run to end.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
