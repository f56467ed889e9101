//! Points of metrics, of runs and of logged models.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use super::{
    Fault,
    bulk::Column,
    session::{Row, Session},
};
use crate::{Axis, LoggedModel, LoggedModelMetric, Metric, ModelMetric, limits::invalid};

/// What an upsert does where a row is there: the later point stays. `table` is the one that is written.
fn keep_latest(table: &str, key: &str) -> String {
    format!(
        "ON CONFLICT ({key}) DO UPDATE SET step = excluded.step, timestamp = excluded.timestamp, axis = excluded.axis, \
         is_nan = excluded.is_nan, value = excluded.value \
         WHERE (excluded.step, excluded.timestamp, NOT excluded.is_nan, excluded.value) > \
         ({table}.step, {table}.timestamp, NOT {table}.is_nan, {table}.value)"
    )
}

/// The columns of points, one after the other.
struct Points {
    step: Vec<i64>,
    timestamp: Vec<i64>,
    axis: Vec<i16>,
    is_nan: Vec<bool>,
    value: Vec<f64>,
}

impl Points {
    fn with_capacity(count: usize) -> Self {
        Self {
            step: Vec::with_capacity(count),
            timestamp: Vec::with_capacity(count),
            axis: Vec::with_capacity(count),
            is_nan: Vec::with_capacity(count),
            value: Vec::with_capacity(count),
        }
    }

    fn push(&mut self, metric: &Metric) {
        self.step.push(metric.step);
        self.timestamp.push(metric.timestamp);
        self.axis.push(stored_axis(metric.axis));
        // SQLite would store NaN as NULL.
        self.is_nan.push(metric.value.is_nan());
        self.value.push(if metric.value.is_nan() { 0.0 } else { metric.value });
    }

    fn columns(self) -> [(&'static str, Column<'static>); 5] {
        [
            ("step", Column::Integers(self.step)),
            ("timestamp", Column::Integers(self.timestamp)),
            ("axis", Column::Small(self.axis)),
            ("is_nan", Column::Booleans(self.is_nan)),
            ("value", Column::Reals(self.value)),
        ]
    }
}

/// Writes points of a run; of each metric the latest is kept at hand.
pub(super) fn insert(session: &Session<'_>, run: i64, metrics: &[Metric]) -> Result<(), Fault> {
    if metrics.is_empty() {
        return Ok(());
    }
    // Latest point of each metric in the batch: one update per metric, not per point.
    let mut latest: BTreeMap<&str, &Metric> = BTreeMap::new();
    for metric in metrics {
        let newest = latest.entry(&metric.key).or_insert(metric);
        if is_later(metric, newest) {
            *newest = metric;
        }
    }
    let keys = metric_keys(session, &latest.keys().copied().collect::<Vec<_>>())?;
    let key_of = |metric: &Metric| keys.get(&metric.key).copied().unwrap_or_default();

    let mut points = Points::with_capacity(metrics.len());
    let mut metric_key = Vec::with_capacity(metrics.len());
    // Points of one metric mostly follow each other.
    let mut known: Option<(&str, i64)> = None;
    for metric in metrics {
        let key = match known {
            Some((name, key)) if name == metric.key => key,
            _ => key_of(metric),
        };
        known = Some((&metric.key, key));
        metric_key.push(key);
        points.push(metric);
    }
    write(session, "metrics", run, metric_key, points, "ON CONFLICT DO NOTHING")?;

    let mut points = Points::with_capacity(latest.len());
    latest.values().for_each(|metric| points.push(metric));
    let metric_key = latest.values().map(|metric| key_of(metric)).collect();
    let conflict = keep_latest("latest_metrics", "run, metric_key");
    write(session, "latest_metrics", run, metric_key, points, &conflict)
}

fn write(
    session: &Session<'_>,
    table: &str,
    run: i64,
    metric_key: Vec<i64>,
    points: Points,
    conflict: &str,
) -> Result<(), Fault> {
    let run = ("run", Column::Integers(vec![run; metric_key.len()]));
    let [step, timestamp, axis, is_nan, value] = points.columns();
    let columns = [run, ("metric_key", Column::Integers(metric_key)), step, timestamp, axis, is_nan, value];
    session.insert(table, &columns, conflict)?;
    Ok(())
}

/// Removes all points of runs that have been removed, where the database does not do so by itself.
pub(super) fn delete(session: &Session<'_>, runs: &[i64]) -> Result<(), Fault> {
    let sql = format!("DELETE FROM metrics WHERE run {}", session.in_keys());
    session.execute(&sql, &[&session.key_list(runs)])?;
    Ok(())
}

/// Writes points that a run measured on models; of each metric and dataset the latest stays.
pub(super) fn insert_of_models(session: &Session<'_>, run: i64, points: &[ModelMetric]) -> Result<(), Fault> {
    let mut latest: BTreeMap<(&str, &str, &str, &str), &Metric> = BTreeMap::new();
    for ModelMetric { model_id, metric, dataset } in points {
        let (name, digest) = dataset.as_ref().map_or(("", ""), |(name, digest)| (name, digest));
        let newest = latest.entry((model_id, &metric.key, name, digest)).or_insert(metric);
        if is_later(metric, newest) {
            *newest = metric;
        }
    }
    if latest.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = latest.keys().map(|(_, key, ..)| *key).collect();
    let keys = metric_keys(session, &names)?;
    let mut models: HashMap<&str, i64> = HashMap::new();
    let mut written = Points::with_capacity(latest.len());
    let (mut logged_model, mut metric_key) = (Vec::new(), Vec::new());
    let (mut dataset_name, mut dataset_digest) = (Vec::new(), Vec::new());
    for ((model_id, key, name, digest), metric) in latest {
        let model = match models.get(model_id) {
            Some(model) => *model,
            None => {
                let sql = "SELECT logged_model FROM logged_models WHERE model_id = ?1";
                let model = session.first(sql, &[&model_id], |row| row.get(0))?;
                let model =
                    model.ok_or_else(|| invalid("logged model", model_id, "there is none with this id"))?;
                models.insert(model_id, model);
                model
            }
        };
        logged_model.push(model);
        metric_key.push(keys.get(key).copied().unwrap_or_default());
        dataset_name.push(name);
        dataset_digest.push(digest);
        written.push(metric);
    }
    let [step, timestamp, axis, is_nan, value] = written.columns();
    let columns = [
        ("run", Column::Integers(vec![run; logged_model.len()])),
        ("logged_model", Column::Integers(logged_model)),
        ("metric_key", Column::Integers(metric_key)),
        ("dataset_name", Column::Texts(dataset_name)),
        ("dataset_digest", Column::Texts(dataset_digest)),
        step,
        timestamp,
        axis,
        is_nan,
        value,
    ];
    let key = "logged_model, metric_key, dataset_name, dataset_digest, run";
    session.insert("logged_model_metrics", &columns, &keep_latest("logged_model_metrics", key))?;
    Ok(())
}

/// Fills in the latest point of each metric on each dataset, whichever run measured it. `list` names the models.
pub(super) fn attach_to_models(
    session: &Session<'_>,
    list: &str,
    models: &mut HashMap<i64, LoggedModel>,
) -> Result<(), Fault> {
    let in_keys = session.in_keys();
    let sql = format!(
        "SELECT m.logged_model, k.key, m.dataset_name, m.dataset_digest, r.run_id, m.step, m.timestamp, m.axis, m.is_nan, \
         m.value FROM logged_model_metrics m JOIN metric_keys k USING (metric_key) JOIN runs r USING (run) \
         WHERE m.logged_model {in_keys}"
    );
    let points = session.all(&sql, &[&list], |row| {
        let dataset = (row.get::<String>(2)?, row.get::<String>(3)?);
        let metric = from_row(row.get(1)?, row, 5)?;
        Ok((row.get::<i64>(0)?, dataset, metric, row.get::<String>(4)?))
    })?;
    let mut latest: BTreeMap<_, LoggedModelMetric> = BTreeMap::new();
    for (model, dataset, metric, run_id) in points {
        let key = (model, metric.key.clone(), dataset.clone());
        if latest.get(&key).is_none_or(|point| is_later(&metric, &point.metric)) {
            let dataset = Some(dataset).filter(|(name, digest)| !name.is_empty() || !digest.is_empty());
            latest.insert(key, LoggedModelMetric { metric, run_id, dataset });
        }
    }
    for ((model, ..), point) in latest {
        if let Some(model) = models.get_mut(&model) {
            model.metrics.push(point);
        }
    }
    Ok(())
}

/// The numbers that stand for these names of metrics; new names get one.
fn metric_keys(session: &Session<'_>, names: &[&str]) -> Result<HashMap<String, i64>, Fault> {
    let mut keys = known_metric_keys(session, names)?;
    // In one order, so that two writers of the same new names do not wait for each other.
    let new: Vec<&str> = names.iter().copied().filter(|name| !keys.contains_key(*name)).collect();
    if !new.is_empty() {
        session.insert("metric_keys", &[("key", Column::Texts(new.clone()))], "ON CONFLICT DO NOTHING")?;
        keys.extend(known_metric_keys(session, &new)?);
    }
    Ok(keys)
}

fn known_metric_keys(session: &Session<'_>, names: &[&str]) -> Result<HashMap<String, i64>, Fault> {
    let list = serde_json::Value::from(names).to_string();
    let sql =
        format!("SELECT key, metric_key FROM metric_keys WHERE key IN {}", session.dialect().texts("?1"));
    let found = session.all(&sql, &[&list], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.into_iter().collect())
}

/// MLflow's rule: the latest point has the largest step, then time, then value; here a number also beats NaN.
fn is_later(metric: &Metric, than: &Metric) -> bool {
    let order = (metric.step, metric.timestamp).cmp(&(than.step, than.timestamp));
    match order {
        Ordering::Equal => than.value.is_nan() || metric.value > than.value,
        order => order == Ordering::Greater,
    }
}

fn stored_axis(axis: Axis) -> i16 {
    match axis {
        Axis::Step => 0,
        Axis::Epoch => 1,
        Axis::Sample => 2,
    }
}

/// Reads `step, timestamp, axis, is_nan, value` from column `first` on.
pub(super) fn from_row(key: String, row: &Row<'_>, first: usize) -> Result<Metric, Fault> {
    let axis = match row.get::<i16>(first + 2)? {
        1 => Axis::Epoch,
        2 => Axis::Sample,
        _ => Axis::Step,
    };
    let value = if row.get(first + 3)? { f64::NAN } else { row.get(first + 4)? };
    Ok(Metric { key, value, timestamp: row.get(first + 1)?, step: row.get(first)?, axis })
}
