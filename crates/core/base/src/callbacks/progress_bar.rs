//! Tells how far each stage has come.

use fulmen_contracts::Event;
use fulmen_registry::component;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::callback::{Callback, CallbackKind, StageProgress};
use crate::events::EventSink;

/// Tells how far each stage has come: loss, metrics, batches a second. Whoever reads the events draws the bar.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgressBarConfig {}

component! { CallbackKind, "progress_bar", ProgressBarConfig => |_, ()| Ok(Box::new(ProgressBar)) }

/// Tells how far each stage has come.
#[derive(Debug)]
pub struct ProgressBar;

impl Callback for ProgressBar {
    fn on_progress(&mut self, progress: &StageProgress<'_>, events: &EventSink) {
        let StageProgress { stage, epoch, batch, batches, rate, values } = *progress;
        events.send(Event::Progress { stage, epoch, batch, batches, rate, values: values.clone() });
    }
}
