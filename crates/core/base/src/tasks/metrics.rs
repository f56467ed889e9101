//! The `metrics` of a task's settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use fulmen_registry::{BuildError, Component, Registry};

use crate::{Metric, MetricKind, ObservationKind};

/// Metrics by name, as a task's settings hold them.
pub type Metrics = BTreeMap<String, Component<MetricKind>>;

/// Builds the metrics of a task that shows `shown` of a batch; where the settings leave them out, those of `default`.
///
/// # Errors
/// When one cannot be built, takes something else than the task shows, or has the loss's name; the key is below the task's.
pub fn build(
    metrics: Option<&Metrics>,
    registry: &Registry,
    shown: ObservationKind,
    default: impl FnOnce() -> Vec<(String, Arc<dyn Metric>)>,
) -> Result<Vec<(String, Arc<dyn Metric>)>, BuildError> {
    let Some(metrics) = metrics else { return Ok(default()) };
    let build = |(name, component): (&String, &Component<MetricKind>)| {
        let key = format!("metrics.{name}");
        if name == "loss" {
            return Err(BuildError::setting(key, "'loss' is the task's own: give the metric another name"));
        }
        let metric = component
            .build(registry, ())
            .map_err(|error| BuildError::setting(error.key_below(&key), error.to_string()))?;
        if !metric.takes().accepts(shown) {
            let (takes, shown, target) = (metric.takes().describe(), shown.describe(), component.name());
            let message = format!("{target} takes {takes}, and this task shows {shown}: leave it out or choose another");
            return Err(BuildError::setting(key, message));
        }
        Ok((name.clone(), metric))
    };
    metrics.iter().map(build).collect()
}
