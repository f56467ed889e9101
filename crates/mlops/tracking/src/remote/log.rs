//! What runs log, on its way to an MLflow server.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    RemoteStore,
    client::Again,
    lock,
    wire::{AXIS_TAG, JOURNAL_TAG, Nothing, axis_name, metric_json},
};
use crate::{
    ErrorKind, JournalBatch, MAX_BATCH_METRICS, MAX_BATCH_PARAMS, MAX_BATCH_TAGS, MAX_KEY, RunBatch,
    RunUpdate, TrackingError, TrackingStore as _, limits::invalid,
};

/// MLflow's limit on all entries of a request.
const MOST_ENTRIES: usize = 1000;
/// MLflow refuses requests of a million bytes; the rest is for the frame around the entries.
const MOST_BYTES: usize = 900_000;

/// The lists of a request.
const LISTS: [(&str, usize); 3] =
    [("params", MAX_BATCH_PARAMS), ("tags", MAX_BATCH_TAGS), ("metrics", MAX_BATCH_METRICS)];

/// A request that is being filled.
#[derive(Debug, Default)]
struct Request {
    lists: [Vec<Value>; 3],
    bytes: usize,
}

impl Request {
    fn has_room(&self, list: usize, bytes: usize) -> bool {
        let entries: usize = self.lists.iter().map(Vec::len).sum();
        entries == 0
            || self.lists[list].len() < LISTS[list].1
                && entries < MOST_ENTRIES
                && self.bytes + bytes <= MOST_BYTES
    }

    fn json(self, run_id: &str) -> Value {
        let mut json = json!({ "run_id": run_id });
        for ((name, _), list) in LISTS.iter().zip(self.lists) {
            json[*name] = list.into();
        }
        json
    }
}

impl RemoteStore {
    pub(super) fn log_there(&self, run_id: &str, batch: &RunBatch) -> Result<(), TrackingError> {
        self.refuse_unknown_models(batch)?;
        let (axes, told) = self.axes_to_tell(run_id, batch);
        for request in requests(batch, &axes) {
            let sent = self.client.post::<Nothing>("runs/log-batch", &request.json(run_id), Again::Harmless);
            sent.map_err(|error| self.reason(run_id, batch, error))?;
        }
        lock(&self.axes).extend(told);
        Ok(())
    }

    /// Says more about a batch that was refused.
    fn reason(&self, run_id: &str, batch: &RunBatch, error: TrackingError) -> TrackingError {
        if !matches!(error.kind(), ErrorKind::InvalidParameter | ErrorKind::NotFound) {
            return error;
        }
        let run = match self.active_run(run_id) {
            Ok(run) => run,
            Err(reason) => return reason,
        };
        for given in &batch.params {
            let stored =
                run.params().iter().find(|stored| stored.key == given.key && stored.value != given.value);
            if let Some(stored) = stored {
                return TrackingError::ParamConflict {
                    run_id: run_id.to_owned(),
                    key: given.key.clone(),
                    stored: stored.value.clone(),
                    given: given.value.clone(),
                };
            }
        }
        error
    }

    /// Tags that tell axes which this process has not told before, and what is known once they are there.
    fn axes_to_tell(&self, run_id: &str, batch: &RunBatch) -> (Vec<Value>, Vec<(String, String)>) {
        let known = lock(&self.axes);
        let mut tags = Vec::new();
        let mut told = Vec::new();
        for metric in &batch.metrics {
            let Some(axis) = axis_name(metric.axis) else { continue };
            let tag = format!("{AXIS_TAG}{}", metric.key);
            let entry = (run_id.to_owned(), metric.key.clone());
            // A key that is too long for its tag has no axis there.
            if tag.chars().count() > MAX_KEY || known.contains(&entry) || told.contains(&entry) {
                continue;
            }
            tags.push(json!({ "key": tag, "value": axis }));
            told.push(entry);
        }
        (tags, told)
    }

    fn refuse_unknown_models(&self, batch: &RunBatch) -> Result<(), TrackingError> {
        let ids: BTreeSet<&str> =
            batch.model_metrics.iter().map(|measured| measured.model_id.as_str()).collect();
        for model_id in ids {
            match self.find_logged_model(model_id) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(invalid("logged model", model_id, "there is none with this id"));
                }
                result => drop(result?),
            }
        }
        Ok(())
    }

    pub(super) fn ask_position(&self, run_id: &str, journal_id: &str) -> Result<u64, TrackingError> {
        let run = self.find_run(run_id)?;
        let tag = format!("{JOURNAL_TAG}{journal_id}");
        let position = run.tags().iter().find(|known| known.key == tag);
        let position = position.and_then(|known| known.value.parse().ok()).unwrap_or(0);
        lock(&self.positions).insert((run_id.to_owned(), journal_id.to_owned()), position);
        Ok(position)
    }

    /// Records first, their position last: what dies in between is delivered again, and stored once.
    pub(super) fn log_records(&self, run_id: &str, records: &JournalBatch) -> Result<(), TrackingError> {
        let journal = (run_id.to_owned(), records.journal_id.clone());
        let known = lock(&self.positions).get(&journal).copied();
        let position = match known {
            Some(position) => position,
            None => self.ask_position(run_id, &records.journal_id)?,
        };
        if records.after != position || records.last <= position {
            // Another process may have moved it.
            let position = self.ask_position(run_id, &records.journal_id)?;
            if records.after != position || records.last <= position {
                let (run_id, journal_id) = journal;
                return Err(TrackingError::JournalOrder {
                    run_id,
                    journal_id,
                    position,
                    after: records.after,
                });
            }
        }
        let delivered = self.deliver(run_id, records);
        let mut positions = lock(&self.positions);
        match &delivered {
            Ok(()) => positions.insert(journal, records.last),
            // It may have moved or not.
            Err(_) => positions.remove(&journal),
        };
        delivered
    }

    fn deliver(&self, run_id: &str, records: &JournalBatch) -> Result<(), TrackingError> {
        if records.batch != RunBatch::default() {
            self.log_there(run_id, &records.batch)?;
        }
        if let Some(finish) = records.finish {
            let update =
                RunUpdate { status: Some(finish.status), end_time: Some(finish.end_time), run_name: None };
            self.update_run(run_id, &update)?;
        }
        let tag = json!({
            "run_id": run_id,
            "key": format!("{JOURNAL_TAG}{}", records.journal_id),
            "value": records.last.to_string(),
        });
        let moved = self.client.post::<Nothing>("runs/set-tag", &tag, Again::Harmless);
        moved.map(drop).map_err(|error| self.explained(run_id, error))
    }
}

/// A batch as requests that MLflow takes, mostly one.
fn requests(batch: &RunBatch, axes: &[Value]) -> Vec<Request> {
    let pair = |key: &str, value: &str| json!({ "key": key, "value": value });
    let params = batch.params.iter().map(|param| (0, pair(&param.key, &param.value)));
    let tags = batch.tags.iter().map(|tag| (1, pair(&tag.key, &tag.value)));
    let axes = axes.iter().map(|tag| (1, tag.clone()));
    let metrics = measured(batch).into_iter().map(|metric| (2, metric));
    let mut requests = vec![Request::default()];
    for (list, entry) in params.chain(tags).chain(axes).chain(metrics) {
        let bytes = entry.to_string().len() + 1;
        if !requests.last().is_some_and(|request| request.has_room(list, bytes)) {
            requests.push(Request::default());
        }
        if let Some(request) = requests.last_mut() {
            request.lists[list].push(entry);
            request.bytes += bytes;
        }
    }
    requests
}

/// The points of a batch; those that were measured on a logged model say so.
fn measured(batch: &RunBatch) -> Vec<Value> {
    let mut models: Vec<_> = batch.model_metrics.iter().map(Some).collect();
    let mut points: Vec<Value> = Vec::with_capacity(batch.metrics.len());
    let on_model = |measured: &crate::ModelMetric| {
        let mut json = metric_json(&measured.metric);
        json["model_id"] = measured.model_id.as_str().into();
        if let Some((name, digest)) = &measured.dataset {
            json["dataset_name"] = name.as_str().into();
            json["dataset_digest"] = digest.as_str().into();
        }
        json
    };
    for metric in &batch.metrics {
        let is_same = |other: &crate::Metric| {
            (&other.key, other.step, other.timestamp, other.value.to_bits())
                == (&metric.key, metric.step, metric.timestamp, metric.value.to_bits())
        };
        let found = models.iter_mut().find(|model| model.is_some_and(|model| is_same(&model.metric)));
        points.push(match found.and_then(Option::take) {
            Some(model) => on_model(model),
            None => metric_json(metric),
        });
    }
    points.extend(models.into_iter().flatten().map(on_model));
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, ModelMetric, Param, Tag};

    #[test]
    fn an_ordinary_batch_is_one_request_and_a_large_one_several() {
        let metrics = |count: i64| (0..count).map(|step| Metric::at_step("m", 1.0, step)).collect();
        let small = RunBatch { metrics: metrics(1000), ..RunBatch::default() };
        assert_eq!(requests(&small, &[]).len(), 1);
        let params = (0..100).map(|number| Param::new(format!("p{number}"), "x")).collect();
        let tags = (0..100).map(|number| Tag::new(format!("t{number}"), "ü".repeat(8000))).collect();
        let large = RunBatch { metrics: metrics(1000), params, tags, model_metrics: Vec::new() };
        let requests = requests(&large, &[json!({ "key": "a", "value": "epoch" })]);
        assert!(requests.len() > 2);
        let sizes = |list: usize| requests.iter().map(|request| request.lists[list].len()).sum::<usize>();
        assert_eq!((sizes(0), sizes(1), sizes(2)), (100, 101, 1000));
        assert_eq!(requests[0].lists[0].len(), 100, "what may be refused comes first");
        for request in requests {
            assert!(request.json("r").to_string().len() < 1_000_000);
        }
    }

    #[test]
    fn a_point_that_was_measured_on_a_model_is_sent_once() {
        let metric = Metric::at_step("acc", 0.5, 1);
        let on_model = ModelMetric { model_id: "m-1".into(), metric: metric.clone(), dataset: None };
        let batch = RunBatch {
            metrics: vec![Metric::at_step("loss", 1.0, 1), metric],
            model_metrics: vec![on_model],
            ..RunBatch::default()
        };
        let points = measured(&batch);
        assert_eq!(points.len(), 2);
        assert_eq!((points[0].get("model_id"), points[1]["model_id"].as_str()), (None, Some("m-1")));
    }
}
