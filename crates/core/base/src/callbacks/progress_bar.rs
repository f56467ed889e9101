//! Tells how far each stage has come.

use fulmen_contracts::Event;
use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::callback::{Callback, CallbackKind, StageProgress};
use crate::events::EventSink;

/// Tells how far each stage has come: loss, metrics, learning rate, batches a second. Whoever reads the events draws the bar.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgressBarConfig {
    /// Batches between two updates, which are some ten a second at most; 0 turns the bar off.
    #[serde(default = "one")]
    pub refresh_rate: u64,
}

const fn one() -> u64 {
    1
}

component! { CallbackKind, "progress_bar", ProgressBarConfig => |config, ()| {
    Ok(Box::new(ProgressBar { refresh_rate: config.refresh_rate, told: 0 }))
} }

/// Tells how far each stage has come.
#[derive(Debug)]
pub struct ProgressBar {
    refresh_rate: u64,
    /// The batch that was told last.
    told: u64,
}

impl Default for ProgressBar {
    fn default() -> Self {
        Self { refresh_rate: one(), told: 0 }
    }
}

impl Callback for ProgressBar {
    fn on_progress(&mut self, progress: &StageProgress<'_>, events: &EventSink) {
        let StageProgress { stage, epoch, batch, batches, rate, values } = *progress;
        // A new pass begins anew.
        let since = if batch < self.told { batch } else { batch - self.told };
        if self.refresh_rate == 0 || (since < self.refresh_rate && batch < batches) {
            return;
        }
        self.told = batch;
        events.send(Event::Progress { stage, epoch, batch, batches, rate, values: values.clone() });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use fulmen_contracts::Stage;

    use super::*;

    #[test]
    fn every_so_many_batches_and_the_last_are_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = told.clone();
        let events = EventSink::new(move |event| {
            if let Event::Progress { batch, .. } = event {
                kept.lock().unwrap().push(batch);
            }
        });
        let mut bar = ProgressBar { refresh_rate: 3, told: 0 };
        for batch in (1..=7).chain(1..=2) {
            let values = Default::default();
            let (stage, epoch, batches, rate) = (Stage::Train, 0, 7, 1.0);
            bar.on_progress(&StageProgress { stage, epoch, batch, batches, rate, values: &values }, &events);
        }
        assert_eq!(*told.lock().unwrap(), [3, 6, 7]);
    }
}
