//! The machine's own figures beside a run's, under MLflow's `system/` names.
//!
//! The configuration's `mlflow.log_system_metrics` and its neighbours say how, and where they are left out MLflow's environment
//! variables. Points are counted as MLflow counts them: 0, 1, 2, and on from there when a run goes on.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fulmen_monitoring::{Monitor, Options, Point};
use fulmen_tracking::{Axis, Metric, Run, RunRecorder, TrackingError};
use serde_json::Value;

use crate::ManagerError;

/// Begins the names of system metrics.
const PREFIX: &str = "system/";

/// Samples while a run goes on.
#[derive(Debug)]
pub(crate) struct SystemMetrics {
    monitor: Monitor,
    points: Receiver<Point>,
}

impl SystemMetrics {
    /// Starts, where the configuration or the environment asks for it.
    pub(crate) fn start(
        config: &Value,
        run: &Run,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ManagerError> {
        let Some(options) = options(config, run, variable)? else { return Ok(None) };
        let (send, points) = channel();
        // The run may be over meanwhile.
        let monitor = Monitor::start(options, move |point| drop(send.send(point)));
        Ok(Some(Self { monitor, points }))
    }

    /// Records the points that have come.
    pub(crate) fn record(&self, recorder: &RunRecorder) -> Result<(), TrackingError> {
        self.points.try_iter().try_for_each(|point| record(recorder, point))
    }

    /// Stops, and records the last points.
    pub(crate) fn finish(self, recorder: &RunRecorder) -> Result<(), TrackingError> {
        self.monitor.stop();
        self.points.try_iter().try_for_each(|point| record(recorder, point))
    }
}

fn record(recorder: &RunRecorder, point: Point) -> Result<(), TrackingError> {
    let metric =
        |(key, value)| Metric { key, value, timestamp: point.time_ms, step: point.step, axis: Axis::Step };
    recorder.log_metrics(&point.values.into_iter().map(metric).collect::<Vec<_>>())
}

/// None: nothing is sampled.
fn options(
    config: &Value,
    run: &Run,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Options>, ManagerError> {
    let setting = |key: &str| config.pointer(&format!("/mlflow/{key}")).filter(|value| !value.is_null());
    let text = |name: &str| variable(name).filter(|text| !text.is_empty());
    let wrong = |name: &str, expected: &'static str| ManagerError::Environment {
        name: name.to_owned(),
        value: variable(name).unwrap_or_default(),
        expected,
    };

    let name = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING";
    let is_on = match setting("log_system_metrics").and_then(Value::as_bool) {
        Some(is_on) => is_on,
        None => match text(name).map(|text| text.to_lowercase()).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => return Err(wrong(name, "true or false")),
        },
    };
    if !is_on {
        return Ok(None);
    }
    let mut options = Options::default();
    let name = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL";
    let interval = match setting("system_metrics_sampling_interval").and_then(Value::as_f64) {
        Some(seconds) => Some(seconds),
        None => match text(name) {
            Some(text) => Some(text.parse().map_err(|_| wrong(name, "a number of seconds"))?),
            None => None,
        },
    };
    if let Some(seconds) = interval {
        let seconds = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
        options.interval = seconds.ok_or_else(|| wrong(name, "a number of seconds above 0"))?;
    }
    let name = "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING";
    let samples = setting("system_metrics_samples_before_logging").and_then(Value::as_u64);
    if let Some(samples) = samples.and_then(|samples| u32::try_from(samples).ok()) {
        options.samples = samples;
    } else if let Some(text) = text(name) {
        options.samples = text.parse().map_err(|_| wrong(name, "a number of samples"))?;
    }
    let node = setting("system_metrics_node_id").and_then(Value::as_str).map(str::to_owned);
    options.node = node.or_else(|| text("MLFLOW_SYSTEM_METRICS_NODE_ID"));
    let known = run.data.metrics.iter().filter(|metric| metric.key.starts_with(PREFIX));
    options.first_step = known.map(|metric| metric.step.saturating_add(1)).max().unwrap_or(0);
    Ok(Some(options))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use fulmen_tracking::{HistoryQuery, NewRun, RunStatus, SqliteStore, TrackingStore};
    use serde_json::json;

    use super::*;

    fn run() -> (tempfile::TempDir, Arc<SqliteStore>, Run) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("fulmen.db")).unwrap();
        let run = store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap();
        (folder, Arc::new(store), run)
    }

    #[test]
    fn the_configuration_is_asked_before_the_environment() {
        let (_folder, _store, run) = run();
        let none = |_: &str| None;
        let of = |config: Value, variables: fn(&str) -> Option<&'static str>| {
            options(&json!({"mlflow": config}), &run, |name| variables(name).map(str::to_owned))
        };
        assert_eq!(options(&json!({}), &run, none).unwrap(), None);
        assert_eq!(of(json!({"log_system_metrics": null}), |_| None).unwrap(), None);
        assert_eq!(of(json!({"log_system_metrics": true}), |_| None).unwrap(), Some(Options::default()));
        let all = |name: &str| match name {
            "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING" => Some("True"),
            "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL" => Some("2.5"),
            "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING" => Some("3"),
            "MLFLOW_SYSTEM_METRICS_NODE_ID" => Some("node_0"),
            _ => None,
        };
        assert_eq!(of(json!({"log_system_metrics": false}), all).unwrap(), None);
        let options = of(json!({"system_metrics_samples_before_logging": 5}), all).unwrap().unwrap();
        assert_eq!((options.interval, options.samples), (Duration::from_millis(2500), 5));
        assert_eq!(options.node.as_deref(), Some("node_0"));
        let message = of(json!({}), |_| Some("maybe")).unwrap_err().to_string();
        assert!(
            message.contains("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING") && message.contains("maybe"),
            "{message}"
        );
    }

    #[test]
    fn points_come_to_the_store_and_are_counted_on_when_a_run_goes_on() {
        let (folder, store, mut run) = run();
        let id = run.info.run_id.clone();
        let config =
            json!({"mlflow": {"log_system_metrics": true, "system_metrics_sampling_interval": 0.02}});
        for _ in 0..2 {
            let recorder = RunRecorder::start(store.clone(), &folder.path().join("journal"), &id).unwrap();
            let metrics = SystemMetrics::start(&config, &run, |_| None).unwrap().unwrap();
            thread::sleep(Duration::from_millis(200));
            metrics.record(&recorder).unwrap();
            metrics.finish(&recorder).unwrap();
            recorder.finish(RunStatus::Finished).unwrap();
            run = store.run(&id).unwrap();
        }
        let key = "system/cpu_utilization_percentage".to_owned();
        let query = HistoryQuery { run_id: id, key, ..HistoryQuery::default() };
        let steps: Vec<_> =
            store.metric_history(&query).unwrap().items.iter().map(|point| point.step).collect();
        assert!(steps.len() >= 2, "{steps:?}");
        assert_eq!(steps, (0..steps.len() as i64).collect::<Vec<_>>());
    }
}
