//! Metric points in blocks: what a batch gave one metric is one document, packed. Points have an order, which is that of a
//! history, and a block says between which two of it its own lie.

use mongodb::bson::{Binary, doc, spec::BinarySubtype};
use serde::{Deserialize, Serialize};

use super::{
    MongoStore,
    connection::lazy_write,
    documents::{ModelPoint, Pending, PendingModelPoint, Point, keep_latest, read_axis, stored_axis},
    error::are_duplicates,
};
use crate::{Metric, RunBatch, TrackingError};

/// The place of a point in its metric's history: step, time, axis, whether NaN, value. Identical points have the same.
pub(super) type Place = [u8; 8 + 8 + 1 + 1 + 8];

/// Points of one metric of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BlockDocument {
    /// The batch, and the number of the metric in it: a batch that is brought twice is there once.
    #[serde(rename = "_id")]
    id: String,
    run_id: String,
    key: String,
    /// Places of the first and the last point.
    pub(super) low: Binary,
    high: Binary,
    /// See [`pack`].
    points: Binary,
}

impl BlockDocument {
    /// The points of a batch, a block for each metric.
    fn of(run_id: &str, pending: &Pending) -> Vec<Self> {
        let mut metrics = unpack(&pending.keys, &pending.points.bytes);
        metrics.sort_by(|left, right| left.key.cmp(&right.key).then_with(|| place(left).cmp(&place(right))));
        let of_one = metrics.chunk_by(|left, right| left.key == right.key).enumerate();
        let blocks = of_one.filter_map(|(number, own)| {
            let (first, last) = (own.first()?, own.last()?);
            Some(Self {
                id: format!("{}-{number}", pending.id),
                run_id: run_id.to_owned(),
                key: first.key.clone(),
                low: binary(place(first).into()),
                high: binary(place(last).into()),
                points: binary(pack(own).1),
            })
        });
        blocks.collect()
    }

    pub(super) fn into_metrics(self) -> Vec<Metric> {
        unpack(&[self.key], &self.points.bytes)
    }
}

fn binary(bytes: Vec<u8>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes }
}

/// Where a point stands in its history. Both zeros are one value, and so are all NaN.
pub(super) fn place(metric: &Metric) -> Place {
    let mut place = [0; 26];
    place[..8].copy_from_slice(&ordered_int(metric.step));
    place[8..16].copy_from_slice(&ordered_int(metric.timestamp));
    place[16] = stored_axis(metric.axis) as u8;
    place[17] = u8::from(metric.value.is_nan());
    place[18..].copy_from_slice(&ordered_float(metric.value));
    place
}

/// The place that a page token holds.
pub(super) fn place_from_hex(digits: &str) -> Option<Place> {
    let digits: Vec<u8> =
        digits.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    Place::try_from(bytes).ok().filter(|_| rest.is_empty())
}

/// The blocks that hold what follows a place in a history, or all of it.
pub(super) fn blocks_after(run_id: &str, key: &str, after: Option<&Place>) -> mongodb::bson::Document {
    let mut query = doc! { "run_id": { "$eq": run_id }, "key": { "$eq": key } };
    if let Some(after) = after {
        query.insert("high", doc! { "$gt": binary(after.to_vec()) });
    }
    query
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
        let blocks = BlockDocument::of(run_id, pending);
        if !blocks.is_empty() {
            match collections.points.insert_many(&blocks).ordered(false).run() {
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
    fn a_batch_is_a_block_for_each_metric_with_its_first_and_last_place() {
        let metrics = vec![metric("a", 3.0, 1, 3), metric("b", f64::NAN, 1, 1), metric("a", 1.0, 1, -1)];
        let pending = pending("r", &RunBatch { metrics: metrics.clone(), ..RunBatch::default() }).unwrap();
        let blocks = BlockDocument::of("r", &pending);
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[0].low.bytes, place(&metrics[2]));
        assert_eq!(blocks[0].high.bytes, place(&metrics[0]));
        assert_ne!(blocks[0].id, blocks[1].id);
        let back: Vec<i64> = blocks[0].clone().into_metrics().iter().map(|point| point.step).collect();
        assert_eq!(back, [-1, 3]);
    }

    #[test]
    fn tokens_hold_whole_places_only() {
        let whole = place(&metric("m", 1.0, 2, 3));
        let digits: String = whole.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(place_from_hex(&digits), Some(whole));
        for wrong in ["", "0", "zz", &digits[2..], &digits[1..], "ü"] {
            assert_eq!(place_from_hex(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_places_is_the_order_of_points(left in any::<(i64, i64, f64)>(), right in any::<(i64, i64, f64)>()) {
            let place = |(step, time, value): (i64, i64, f64)| place(&metric("m", value, time, step));
            let order = |(step, time, value): (i64, i64, f64)| (step, time, value.is_nan(), if value.is_nan() { 0.0 } else { value });
            prop_assert_eq!(Some(place(left).cmp(&place(right))), order(left).partial_cmp(&order(right)));
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
