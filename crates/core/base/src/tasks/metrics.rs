//! The `metrics` of a task's settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use fulmen_registry::{BuildError, Component, Registry};

use crate::{Metric, MetricKind, ObservationKind};

/// Metrics by name, as a task's settings hold them; null leaves one out.
pub type Metrics = BTreeMap<String, Option<Component<MetricKind>>>;

/// The same, built.
pub type NamedMetrics = Vec<(String, Arc<dyn Metric>)>;

/// Builds the metrics of a task that shows `shown` of a batch; where the settings leave them out, those of `default`.
///
/// # Errors
/// When one cannot be built, takes something else than the task shows, or has the loss's name; the key is below the task's.
pub fn build(
    metrics: Option<&Metrics>,
    registry: &Registry,
    shown: ObservationKind,
    default: impl FnOnce() -> NamedMetrics,
) -> Result<NamedMetrics, BuildError> {
    let Some(metrics) = metrics else { return Ok(default()) };
    let named = metrics.iter().filter_map(|(name, metric)| Some((name, metric.as_ref()?)));
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
            let message = format!(
                "{target} takes {takes}, and this task shows {shown}: leave it out or choose another"
            );
            return Err(BuildError::setting(key, message));
        }
        Ok((name.clone(), metric))
    };
    named.map(build).collect()
}

#[cfg(test)]
mod tests {
    use fulmen_registry::registry;
    use serde_json::{Value, json};

    use super::*;
    use crate::DataSpec;
    use crate::task::{Task, TaskContext, TaskKind};

    fn task(settings: &Value) -> Result<Box<dyn Task>, BuildError> {
        let (registry, data) = (registry().unwrap(), DataSpec::default());
        registry.build::<TaskKind>(settings, TaskContext { registry, data: &data })
    }

    fn names(settings: &Value) -> Vec<String> {
        task(settings).unwrap().metrics().iter().map(|(name, _)| name.clone()).collect()
    }

    #[test]
    fn a_task_has_the_metrics_of_its_settings_or_its_own() {
        assert_eq!(names(&json!({"_target_": "classification"})), ["accuracy"]);
        assert_eq!(names(&json!({"_target_": "regression"})), ["mae", "mse"]);
        let settings = json!({"_target_": "language_modeling", "metrics": {
            "perplexity": {"_target_": "perplexity"}, "accuracy": null}});
        assert_eq!(names(&settings), ["perplexity"]);
    }

    #[test]
    fn a_metric_that_does_not_fit_is_refused_under_its_key_when_the_task_is_built() {
        let refusal = |settings: Value| {
            let error = task(&settings).unwrap_err();
            (error.key_below("task"), error.to_string())
        };
        let of =
            |metric: &str| json!({"_target_": "classification", "metrics": {"mine": {"_target_": metric}}});
        let (key, message) = refusal(of("r2_score"));
        assert_eq!(key, "task.metrics.mine");
        assert!(
            message.contains("r2_score takes values, and this task shows scores of classes"),
            "{message}"
        );
        let (key, message) = refusal(of("acuracy"));
        assert_eq!(key, "task.metrics.mine._target_");
        assert!(message.contains("did you mean 'accuracy'"), "{message}");
        let (key, _) = refusal(json!({"_target_": "classification", "metrics": {
            "mine": {"_target_": "fbeta", "beta": -1.0}}}));
        assert_eq!(key, "task.metrics.mine.beta");
        let (key, message) = refusal(json!({"_target_": "classification", "metrics": {
            "loss": {"_target_": "accuracy"}}}));
        assert_eq!(key, "task.metrics.loss");
        assert!(message.contains("give the metric another name"), "{message}");
    }

    #[test]
    fn a_scaled_error_needs_its_scale_where_the_task_shows_no_history() {
        let of = |scale: Value| {
            task(&json!({"_target_": "regression", "metrics": {
                "mase": {"_target_": "mean_absolute_scaled_error", "scale": scale}}}))
        };
        assert!(of(json!(0.5)).is_ok());
        assert!(of(Value::Null).unwrap_err().to_string().contains("forecasts with the series before them"));
    }
}
