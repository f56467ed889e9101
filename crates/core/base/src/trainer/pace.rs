//! How fast batches go by, and when to tell.

use std::time::{Duration, Instant};

/// Some ten times a second is as often as people look.
const BETWEEN: Duration = Duration::from_millis(100);

/// Counts batches of a stage.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    told: Instant,
    batches_told: u64,
    /// Batches a second, smoothed over the last few seconds.
    rate: Option<f64>,
}

impl Pace {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self { began: now, told: now, batches_told: 0, rate: None }
    }

    /// The rate, if it is time to tell; `done` batches since the start.
    pub(super) fn due(&mut self, done: u64, last: bool) -> Option<f64> {
        let since = self.told.elapsed();
        // The first batch is told at once: it is what people wait for.
        if since < BETWEEN && !last && done > 1 {
            return None;
        }
        let latest = (done - self.batches_told) as f64 / since.as_secs_f64().max(1e-9);
        // A new value weighs as much as its share of two seconds.
        let weight = (since.as_secs_f64() / 2.0).clamp(0.05, 1.0);
        let rate = self.rate.map_or(latest, |rate| rate + weight * (latest - rate));
        (self.rate, self.told, self.batches_told) = (Some(rate), Instant::now(), done);
        Some(rate)
    }

    /// Seconds since the start.
    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}
