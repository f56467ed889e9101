//! Metric points: one document each, whose id says all of it, so that an identical point is stored once, and points in the
//! order of their ids are a history.

use mongodb::bson::{Binary, doc, spec::BinarySubtype};
use serde::{Deserialize, Serialize};

use super::{
    MongoStore,
    connection::lazy_write,
    documents::{ModelPoint, Pending, PendingModelPoint, Point, keep_latest, read_axis, stored_axis},
    error::are_duplicates,
};
use crate::{Metric, RunBatch, TrackingError};

/// Run, digest of the key, step, time, axis, whether NaN, value.
const ID_LENGTH: usize = 16 + 16 + 8 + 8 + 1 + 1 + 8;

/// A point of a metric.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PointDocument {
    #[serde(rename = "_id")]
    pub(super) id: Binary,
    run_id: String,
    key: String,
    step: i64,
    timestamp: i64,
    #[serde(default, skip_serializing_if = "is_step")]
    axis: i64,
    value: f64,
}

fn is_step(axis: &i64) -> bool {
    *axis == 0
}

impl PointDocument {
    fn new(run_id: &str, metric: &Metric) -> Self {
        let mut id = prefix(run_id, &metric.key);
        id.extend(ordered_int(metric.step));
        id.extend(ordered_int(metric.timestamp));
        let axis = stored_axis(metric.axis);
        id.push(axis as u8);
        id.push(u8::from(metric.value.is_nan()));
        id.extend(ordered_float(metric.value));
        Self {
            id: binary(id),
            run_id: run_id.to_owned(),
            key: metric.key.clone(),
            step: metric.step,
            timestamp: metric.timestamp,
            axis,
            value: metric.value,
        }
    }

    pub(super) fn into_metric(self) -> Metric {
        let axis = read_axis(self.axis);
        Metric { key: self.key, value: self.value, timestamp: self.timestamp, step: self.step, axis }
    }
}

pub(super) fn binary(bytes: Vec<u8>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes }
}

/// What the ids of all points of a metric begin with.
fn prefix(run_id: &str, key: &str) -> Vec<u8> {
    let mut id = run_prefix(run_id);
    id.extend(&blake3::hash(key.as_bytes()).as_bytes()[..16]);
    id
}

/// What the ids of all points of a run begin with: its 32 hexadecimal digits as bytes.
fn run_prefix(run_id: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        run_id.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0)).collect()
}

/// The smallest and the largest id that points of a metric can have, or of a whole run without a key. Binary values are
/// compared by length first, so both have the length of an id.
pub(super) fn range(run_id: &str, key: Option<&str>) -> (Binary, Binary) {
    let low = key.map_or_else(|| run_prefix(run_id), |key| prefix(run_id, key));
    let mut high = low.clone();
    high.resize(ID_LENGTH, 0xFF);
    let mut low = low;
    low.resize(ID_LENGTH, 0);
    (binary(low), binary(high))
}

/// The id that a page token holds.
pub(super) fn id_from_hex(digits: &str) -> Option<Binary> {
    let digits: Vec<u8> =
        digits.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (bytes.len() == ID_LENGTH).then(|| binary(bytes))
}

/// Bytes whose order is the order of the numbers.
fn ordered_int(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Bytes whose order is the order of the numbers; both zeros are one, and so are all NaN.
fn ordered_float(number: f64) -> [u8; 8] {
    let number = if number.is_nan() || number == 0.0 { 0.0 } else { number };
    let bits = number.to_bits();
    (if bits >> 63 == 1 { !bits } else { bits ^ (1 << 63) }).to_be_bytes()
}

/// A batch's points as they wait in their run's document; `None` where it has none.
pub(super) fn pending(run_id: &str, batch: &RunBatch) -> Option<Pending> {
    if batch.metrics.is_empty() && batch.model_metrics.is_empty() {
        return None;
    }
    let (keys, points) = pack(&batch.metrics);
    let models = batch.model_metrics.iter().map(|measured| {
        let Point { s, t, a, v } = Point::of(&measured.metric);
        let (dataset_name, dataset_digest) = measured.dataset.clone().unwrap_or_default();
        let (k, run_id) = (measured.metric.key.clone(), run_id.to_owned());
        let point = ModelPoint { k, run_id, dataset_name, dataset_digest, s, t, a, v };
        PendingModelPoint { model_id: measured.model_id.clone(), point }
    });
    let id = uuid::Uuid::new_v4().simple().to_string();
    Some(Pending { id, keys, points: binary(points), models: models.collect() })
}

/// Bytes of a packed point: number of its key, axis, step, time, bits of its value.
const PACKED: usize = 2 + 1 + 8 + 8 + 8;

/// Keys, and points that name them by number. A batch has at most 1000 points.
fn pack(metrics: &[Metric]) -> (Vec<String>, Vec<u8>) {
    let mut keys: Vec<String> = Vec::new();
    let mut numbers = std::collections::HashMap::new();
    let mut bytes = Vec::with_capacity(metrics.len() * PACKED);
    for metric in metrics {
        let number = *numbers.entry(metric.key.as_str()).or_insert_with(|| {
            keys.push(metric.key.clone());
            (keys.len() - 1) as u16
        });
        bytes.extend(number.to_le_bytes());
        bytes.push(stored_axis(metric.axis) as u8);
        bytes.extend(metric.step.to_le_bytes());
        bytes.extend(metric.timestamp.to_le_bytes());
        bytes.extend(metric.value.to_bits().to_le_bytes());
    }
    (keys, bytes)
}

fn unpack(keys: &[String], bytes: &[u8]) -> Vec<Metric> {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let points = bytes.chunks_exact(PACKED).filter_map(|point| {
        Some(Metric {
            key: keys.get(number(&point[..2]) as usize)?.clone(),
            axis: read_axis(i64::from(point[2])),
            step: number(&point[3..11]).cast_signed(),
            timestamp: number(&point[11..19]).cast_signed(),
            value: f64::from_bits(number(&point[19..27])),
        })
    });
    points.collect()
}

impl MongoStore {
    /// Brings points that wait in a run's document to where they belong. Twice does no harm.
    pub(super) fn settle(&self, run_id: &str, pending: &Pending) -> Result<(), TrackingError> {
        let collections = self.collections()?;
        let points: Vec<PointDocument> = unpack(&pending.keys, &pending.points.bytes)
            .iter()
            .map(|metric| PointDocument::new(run_id, metric))
            .collect();
        if !points.is_empty() {
            match collections.points.insert_many(&points).ordered(false).run() {
                Err(error) if !are_duplicates(&error) => return Err(self.failed(error)),
                _ => {}
            }
        }
        self.settle_model_points(&pending.models)?;
        let forget = doc! { "$pull": { "pending": { "id": &pending.id } } };
        // If this is lost, the points are brought again.
        let forget = collections.runs.update_one(doc! { "_id": run_id }, forget).write_concern(lazy_write());
        forget.run().map_err(|error| self.failed(error))?;
        Ok(())
    }

    fn settle_model_points(&self, points: &[PendingModelPoint]) -> Result<(), TrackingError> {
        let mut models: Vec<&str> = points.iter().map(|point| point.model_id.as_str()).collect();
        models.sort_unstable();
        models.dedup();
        for model_id in models {
            let own = points.iter().filter(|point| point.model_id == model_id);
            let own: Vec<&ModelPoint> = own.map(|point| &point.point).collect();
            let changed =
                self.modify(&self.collections()?.logged_models, "logged model", model_id, |model| {
                    for &point in &own {
                        match model.metrics.iter_mut().find(|stored| stored.is_of_same(point)) {
                            Some(stored) if !point.point().is_later(&stored.point()) => {}
                            Some(stored) => *stored = point.clone(),
                            None => model.metrics.push(point.clone()),
                        }
                        keep_latest(&mut model.latest, &point.k, point.point());
                    }
                    Ok(())
                });
            match changed {
                // Purged meanwhile.
                Err(error) if error.kind() == crate::ErrorKind::NotFound => {}
                result => drop(result?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Axis;

    fn metric(key: &str, value: f64, timestamp: i64, step: i64) -> Metric {
        Metric { timestamp, ..Metric::at_step(key, value, step) }
    }

    #[test]
    fn ids_lie_within_the_range_of_their_metric() {
        let run_id = "0123456789abcdef0123456789abcdef";
        let (low, high) = range(run_id, Some("m"));
        for value in [f64::NEG_INFINITY, f64::MAX, f64::INFINITY, f64::NAN] {
            for step in [i64::MIN, 0, i64::MAX] {
                let id = PointDocument::new(run_id, &metric("m", value, step, step)).id;
                assert_eq!(id.bytes.len(), ID_LENGTH);
                assert!(low.bytes <= id.bytes && id.bytes <= high.bytes);
            }
        }
        let (low, high) = range(run_id, None);
        assert!(low.bytes[..16] == high.bytes[..16] && low.bytes.len() == ID_LENGTH);
    }

    proptest! {
        #[test]
        fn the_order_of_ids_is_the_order_of_points(left in any::<(i64, i64, f64)>(), right in any::<(i64, i64, f64)>()) {
            let id = |(step, time, value): (i64, i64, f64)| PointDocument::new(&"0".repeat(32), &metric("m", value, time, step)).id.bytes;
            let order = |(step, time, value): (i64, i64, f64)| (step, time, value.is_nan(), if value.is_nan() { 0.0 } else { value });
            prop_assert_eq!(Some(id(left).cmp(&id(right))), order(left).partial_cmp(&order(right)));
        }

        #[test]
        fn packed_points_come_back_with_the_same_bits(points in proptest::collection::vec(("[abc]", any::<f64>(), any::<i64>(), any::<i64>()), 0..50)) {
            let metrics: Vec<Metric> = points.iter().map(|(key, value, time, step)| Metric { axis: Axis::Sample, ..metric(key, *value, *time, *step) }).collect();
            let (keys, bytes) = pack(&metrics);
            let back = unpack(&keys, &bytes);
            prop_assert_eq!(back.len(), metrics.len());
            for (back, metric) in back.iter().zip(&metrics) {
                prop_assert_eq!(back.value.to_bits(), metric.value.to_bits());
                prop_assert_eq!((&back.key, back.step, back.timestamp, back.axis), (&metric.key, metric.step, metric.timestamp, metric.axis));
            }
        }
    }
}
