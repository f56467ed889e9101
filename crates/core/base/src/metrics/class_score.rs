//! Scores that follow from how often each class was predicted, was there, and both.

use fulmen_torch::tch::{Kind, Tensor};

use super::classes::{Average, Scored, divide};
use super::{Join, State};
use crate::{Computed, Metric, Observation, ObservationKind, Result};

/// A score of one class.
#[derive(Debug, Clone, Copy)]
pub(super) enum Score {
    /// Share of the class's samples that were found. Where one score says yes: of all samples that are right.
    Accuracy,
    /// Share of what was said to be the class that is.
    Precision,
    /// Share of the class's samples that were found.
    Recall,
    /// Both, recall weighing `beta` times as much (van Rijsbergen 1979).
    FBeta(f64),
    /// Intersection over union (Jaccard 1901).
    Jaccard,
    /// Twice the intersection over the sum (Dice 1945), with the background, class 0, or without.
    Dice {
        /// Whether class 0 counts.
        include_background: bool,
    },
}

/// How often a class was predicted and there, predicted, and there.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    both: f64,
    predicted: f64,
    actual: f64,
}

impl Score {
    fn of(self, Counts { both, predicted, actual }: Counts) -> f64 {
        match self {
            Self::Accuracy | Self::Recall => divide(both, actual),
            Self::Precision => divide(both, predicted),
            Self::FBeta(beta) => divide((1.0 + beta * beta) * both, beta * beta * actual + predicted),
            Self::Jaccard => divide(both, predicted + actual - both),
            Self::Dice { .. } => divide(2.0 * both, predicted + actual),
        }
    }
}

/// One of the scores, averaged over classes. Logits of one score a sample give the score of "yes".
#[derive(Debug)]
pub(super) struct ClassScore {
    pub(super) score: Score,
    pub(super) average: Average,
    pub(super) top_k: i64,
    pub(super) ignore_index: i64,
}

impl Metric for ClassScore {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Classes
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        // [3 × classes] i64 each: predicted and there, predicted, there.
        &[("counts", Join::Sum), ("binary_counts", Join::Sum)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let scored = Scored::of(observation)?;
        let classes = scored.classes();
        let name = if matches!(scored, Scored::Binary(..)) { "binary_counts" } else { "counts" };
        let targets = scored.targets().f_reshape([-1])?;
        let counted = targets.f_ne(self.ignore_index)?;
        // What is left out must still point at some class; it adds 0 there.
        let targets = targets.f_mul(&counted)?;
        let predictions = scored.predictions(self.top_k)?.f_reshape([-1])?.f_mul(&counted)?;
        let hits = predictions.f_eq_tensor(&targets)?.f_logical_and(&counted)?;
        let places =
            [targets.shallow_clone(), predictions.f_add_scalar(classes)?, targets.f_add_scalar(2 * classes)?];
        let ones = Tensor::f_cat(&[&hits, &counted, &counted], 0)?.f_to_kind(Kind::Int64)?;
        add_at(state, name, 3 * classes, &Tensor::f_cat(&places, 0)?, &ones)
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let binary = state.values("binary_counts")?;
        if let [no, yes, _, yes_predicted, no_actual, yes_actual] = binary[..] {
            return Ok(Computed::One(match self.score {
                Score::Accuracy => divide(no + yes, no_actual + yes_actual),
                score => score.of(Counts { both: yes, predicted: yes_predicted, actual: yes_actual }),
            }));
        }
        Ok(self.averaged(&state.values("counts")?))
    }
}

/// Adds `ones` at `places`, `[n] i64` each, of the sum `name` of so many numbers. No histogram: that waits for the device.
pub(super) fn add_at(state: &mut State, name: &str, size: i64, places: &Tensor, ones: &Tensor) -> Result<()> {
    state.sum_mut(name, places.device(), |sum| {
        let mut sum = match sum {
            Some(sum) if sum.size() == [size] => sum,
            Some(sum) => {
                let before = sum.size();
                return Err(crate::Error::Metric(format!(
                    "'{name}' has {before:?} numbers so far, and {size} now: the number of classes changed"
                )));
            }
            None => Tensor::f_zeros([size], (Kind::Int64, places.device()))?,
        };
        Ok(sum.f_scatter_add_(0, places, ones)?)
    })
}

impl ClassScore {
    fn averaged(&self, counts: &[f64]) -> Computed {
        let classes = counts.len() / 3;
        let first = match self.score {
            Score::Dice { include_background: false } => 1,
            _ => 0,
        };
        let of = |class: usize| Counts {
            both: counts[class],
            predicted: counts[classes + class],
            actual: counts[2 * classes + class],
        };
        let counts: Vec<_> = (first..classes).map(of).collect();
        // As torchmetrics has it: the union with a class that is left out is no part of a Jaccard index.
        let left_out = match self.score {
            Score::Jaccard => usize::try_from(self.ignore_index).ok(),
            _ => None,
        };
        if self.average == Average::Micro {
            let kept = counts.iter().enumerate().filter(|(class, _)| Some(*class) != left_out);
            let all = kept.fold(Counts::default(), |all, (_, of)| Counts {
                both: all.both + of.both,
                predicted: all.predicted + of.predicted,
                actual: all.actual + of.actual,
            });
            return Computed::One(self.score.of(all));
        }
        let values: Vec<_> = counts.iter().map(|counts| self.score.of(*counts)).collect();
        let weights: Vec<_> = counts.iter().map(|counts| counts.actual).collect();
        self.average.of(&values, &weights, |class| {
            let predicted = if self.top_k == 1 { counts[class].predicted } else { 0.0 };
            Some(class) != left_out && counts[class].actual + predicted > 0.0
        })
    }
}
