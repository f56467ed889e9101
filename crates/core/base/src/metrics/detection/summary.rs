//! The twelve numbers that COCO reports.

use super::curve::average_precision;
use super::matching::{AreaRange, Judged, Prepared};
use super::objects::Scene;

const NAMES: [&str; 12] = [
    "map",
    "map_50",
    "map_75",
    "map_small",
    "map_medium",
    "map_large",
    "mar_1",
    "mar_10",
    "mar_100",
    "mar_small",
    "mar_medium",
    "mar_large",
];
/// Of any size, of less than 32² square pixels, of less than 96², and the rest.
const SIZES: [AreaRange; 4] = [[0.0, 1e10], [0.0, 1024.0], [1024.0, 9216.0], [9216.0, 1e10]];
/// How many detections of a class an image may have; for precision, the last.
const MOST: [usize; 3] = [1, 10, 100];
/// Overlaps of 0.5, 0.55, … 0.95.
const THRESHOLDS: usize = 10;

/// With numpy's rounding, which decides of an overlap that is the threshold.
fn threshold(place: usize) -> f64 {
    if place + 1 == THRESHOLDS { 0.95 } else { 0.5 + (0.95 - 0.5) / 9.0 * place as f64 }
}

/// The numbers of [`NAMES`]; none where nothing was to be found.
#[derive(Debug)]
pub(super) struct Summary([Option<f64>; 12]);

impl Summary {
    /// Of one class.
    pub(super) fn of(scenes: &[Scene]) -> Self {
        let most = MOST[MOST.len() - 1];
        let prepared: Vec<_> = scenes.iter().map(|scene| Prepared::new(scene, most)).collect();
        let mut numbers = [None; 12];
        for (place, range) in SIZES.into_iter().enumerate() {
            let wanted: usize = prepared.iter().map(|scene| scene.wanted(range)).sum();
            if wanted == 0 {
                continue;
            }
            let judged: Vec<Vec<Vec<Judged>>> = (0..THRESHOLDS)
                .map(|at| prepared.iter().map(|scene| scene.judge(threshold(at), range)).collect())
                .collect();
            let curves = |most: usize| -> Vec<(f64, f64)> {
                let surest = |scenes: &Vec<Vec<Judged>>| {
                    scenes.iter().flat_map(|scene| scene.iter().take(most).copied()).collect::<Vec<_>>()
                };
                judged.iter().map(|scenes| average_precision(surest(scenes), wanted)).collect()
            };
            let (precision, recall) = mean(&curves(most));
            if place > 0 {
                (numbers[2 + place], numbers[8 + place]) = (Some(precision), Some(recall));
                continue;
            }
            let all = curves(most);
            numbers[..3].copy_from_slice(&[Some(precision), Some(all[0].0), Some(all[5].0)]);
            numbers[6..9].copy_from_slice(&MOST.map(|most| Some(mean(&curves(most)).1)));
        }
        Self(numbers)
    }

    /// The mean of the classes of which something was to be found.
    pub(super) fn mean<'a>(classes: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let numbers = std::array::from_fn(|place| {
            let known: Vec<_> = classes.clone().filter_map(|class| class.0[place]).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        });
        Self(numbers)
    }

    /// All numbers by name.
    pub(super) fn named(&self) -> Vec<(String, Option<f64>)> {
        NAMES.iter().zip(self.0).map(|(name, number)| ((*name).to_owned(), number)).collect()
    }

    pub(super) const fn map(&self) -> Option<f64> {
        self.0[0]
    }

    pub(super) const fn mar_100(&self) -> Option<f64> {
        self.0[8]
    }
}

/// The means of both.
fn mean(curves: &[(f64, f64)]) -> (f64, f64) {
    let (first, second) = curves.iter().fold((0.0, 0.0), |sums, curve| (sums.0 + curve.0, sums.1 + curve.1));
    (first / curves.len() as f64, second / curves.len() as f64)
}
