//! From a worker's events to the tracking store.

use fulmen_contracts::Event;
use fulmen_contracts::event::Outcome;
use fulmen_tracking::{Metric, RunRecorder, RunStatus, Tag, TrackingError};

use crate::Ended;
use crate::once::Known;

/// Records what is to be kept of an event.
pub(crate) fn record(recorder: &RunRecorder, known: &mut Known, event: &Event) -> Result<(), TrackingError> {
    match event {
        Event::Metrics { axis, step, time_ms, values, .. } => {
            let metrics: Vec<_> = values
                .iter()
                .map(|(key, value)| Metric {
                    key: key.clone(),
                    value: *value,
                    timestamp: *time_ms,
                    step: i64::try_from(*step).unwrap_or(i64::MAX),
                    axis: *axis,
                })
                .filter(|metric| known.is_new(metric))
                .collect();
            recorder.log_metrics(&metrics)
        }
        Event::Started { environment } => {
            let tags: Vec<_> = environment
                .iter()
                .map(|(name, value)| Tag::new(format!("fulmen.environment.{name}"), value))
                .collect();
            recorder.set_tags(&tags)
        }
        Event::ModelSummary { name, trainable, .. } => recorder.set_tags(&[
            Tag::new("fulmen.model", name),
            Tag::new("fulmen.model.trainable_parameters", trainable.to_string()),
        ]),
        Event::Checkpoint { path, .. } => recorder.set_tags(&[Tag::new("fulmen.checkpoint", path)]),
        _ => Ok(()),
    }
}

/// MLflow's word for how a run ended.
pub(crate) fn status(ended: &Ended) -> RunStatus {
    match ended {
        Ended::Said(Outcome::Completed { .. }) => RunStatus::Finished,
        Ended::Said(Outcome::Interrupted { .. }) => RunStatus::Killed,
        Ended::Said(Outcome::BadInput { .. } | Outcome::Failed { .. }) | Ended::Crashed { .. } => {
            RunStatus::Failed
        }
    }
}
