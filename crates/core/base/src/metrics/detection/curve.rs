//! Precision at each recall, of one class over all images.

use super::matching::{Judged, Verdict};

/// Points of recall at which precision is read: 0, 0.01, … 1.
const POINTS: usize = 101;

/// Average precision and the recall that was reached; `judged` holds the detections of all images, `wanted` is above 0.
pub(super) fn average_precision(mut judged: Vec<Judged>, wanted: usize) -> (f64, f64) {
    // Stable, so that detections as sure stay in the order of their images.
    judged.sort_by(|left, right| right.score.total_cmp(&left.score));
    let (mut right, mut wrong) = (0.0, 0.0);
    let mut points = Vec::with_capacity(judged.len());
    for detection in &judged {
        match detection.verdict {
            Verdict::Right => right += 1.0,
            Verdict::Wrong => wrong += 1.0,
            Verdict::Ignored => {}
        }
        points.push((right / wanted as f64, right / (right + wrong + f64::EPSILON)));
    }
    // The precision at a recall is the best at that recall or a higher one.
    for place in (1..points.len()).rev() {
        points[place - 1].1 = points[place - 1].1.max(points[place].1);
    }
    let reached = points.last().map_or(0.0, |point| point.0);
    let read = |point: usize| {
        // With numpy's rounding, which decides of a recall that is the point.
        let recall = if point + 1 == POINTS { 1.0 } else { point as f64 * 0.01 };
        let place = points.partition_point(|point| point.0 < recall);
        points.get(place).map_or(0.0, |point| point.1)
    };
    ((0..POINTS).map(read).sum::<f64>() / POINTS as f64, reached)
}
