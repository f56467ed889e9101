//! Where events go.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fulmen_contracts::Event;
use fulmen_contracts::event::Level;

/// Takes events, from any thread, in order; cheap to clone.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(Event) + Send + Sync>);

impl EventSink {
    /// Hands each event to `take`.
    pub fn new(take: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Takes an event.
    pub fn send(&self, event: Event) {
        (self.0)(event);
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
