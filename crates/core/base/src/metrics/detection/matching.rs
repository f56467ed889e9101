//! Which detection is of which object, in one image and of one class: COCO's greedy matching.

use super::objects::{Found, Scene, There, area};

/// Sizes of objects, in square pixels, both ends among them.
pub(super) type AreaRange = [f64; 2];

/// A detection after matching.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    pub(super) score: f64,
    pub(super) verdict: Verdict,
}

/// What a detection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Of an object that was to be found.
    Right,
    /// Of none.
    Wrong,
    /// Of a crowd, or of a size that is not asked about: it counts neither way.
    Ignored,
}

/// A scene made ready to be matched at any threshold: detections from the surest on, their overlaps with all objects.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    found: Vec<Found>,
    there: &'a [There],
    /// Overlap of detection `d` with object `t`, at `[d][t]`.
    overlaps: Vec<Vec<f64>>,
}

impl<'a> Prepared<'a> {
    /// Of the surest `most` detections.
    pub(super) fn new(scene: &'a Scene, most: usize) -> Self {
        let mut found = scene.found.clone();
        found.sort_by(|left, right| right.score.total_cmp(&left.score));
        found.truncate(most);
        let overlaps =
            found.iter().map(|found| scene.there.iter().map(|there| overlap(found, there)).collect());
        let overlaps = overlaps.collect();
        Self { found, there: &scene.there, overlaps }
    }

    /// How many objects of `range` are to be found.
    pub(super) fn wanted(&self, range: AreaRange) -> usize {
        self.there.iter().filter(|object| !ignores(object, range)).count()
    }

    /// Judges each detection, from the surest on: it takes the object that it overlaps most, by `threshold` at least, of those not
    /// taken yet. An object that is to be ignored is only taken where no other is.
    pub(super) fn judge(&self, threshold: f64, range: AreaRange) -> Vec<Judged> {
        let mut order: Vec<usize> = (0..self.there.len()).collect();
        order.sort_by_key(|&object| ignores(&self.there[object], range));
        let mut taken = vec![false; self.there.len()];
        let judge = |(found, overlaps): (&Found, &Vec<f64>)| {
            // Just below 1, so that a perfect overlap passes a threshold of 1.
            let mut least = threshold.min(1.0 - 1e-10);
            let mut best: Option<usize> = None;
            for &object in &order {
                let there = &self.there[object];
                if taken[object] && !there.crowd {
                    continue;
                }
                if ignores(there, range) && best.is_some_and(|best| !ignores(&self.there[best], range)) {
                    break;
                }
                // Of two as good, the later: so does COCO's own program.
                if overlaps[object] >= least {
                    least = overlaps[object];
                    best = Some(object);
                }
            }
            let verdict = match best {
                Some(object) => {
                    taken[object] = true;
                    if ignores(&self.there[object], range) { Verdict::Ignored } else { Verdict::Right }
                }
                None if outside(area(found.corners), range) => Verdict::Ignored,
                None => Verdict::Wrong,
            };
            Judged { score: found.score, verdict }
        };
        self.found.iter().zip(&self.overlaps).map(judge).collect()
    }
}

fn outside(area: f64, [least, most]: AreaRange) -> bool {
    area < least || area > most
}

fn ignores(object: &There, range: AreaRange) -> bool {
    object.crowd || outside(object.area, range)
}

/// Intersection over union; over the detection alone where the object is a crowd.
fn overlap(found: &Found, there: &There) -> f64 {
    let (a, b) = (found.corners, there.corners);
    let width = a[2].min(b[2]) - a[0].max(b[0]);
    let height = a[3].min(b[3]) - a[1].max(b[1]);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let both = width * height;
    both / if there.crowd { area(a) } else { area(a) + area(b) - both }
}
