//! The range test of the learning rate (Smith 2017, arXiv:1506.01186): rates grow step by step until the loss does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trainer::fit::Fit;
use crate::{Error, Result};

/// How rates grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Spacing {
    /// By the same factor each step.
    #[default]
    Exponential,
    /// By the same amount each step.
    Linear,
}

/// Finds a learning rate before training begins (Smith 2017, arXiv:1506.01186), under Lightning's names and with its defaults:
/// rates grow step by step, and the one where the loss falls most steeply is suggested. What it tries is undone; the curve is
/// written to `learning_rate_finder.csv` and `.svg` among the run's artifacts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearningRateSearch {
    /// The first rate.
    #[serde(default = "default_min_lr")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub min_lr: f64,
    /// The last rate.
    #[serde(default = "default_max_lr")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub max_lr: f64,
    /// How many rates, one an optimizer step.
    #[serde(default = "default_num_training_steps")]
    #[schemars(range(min = 1))]
    pub num_training_steps: u64,
    /// How rates grow.
    #[serde(default)]
    pub mode: Spacing,
    /// The search ends where the smoothed loss is so many times the best; null goes on to the last rate.
    #[serde(default = "default_early_stop_threshold")]
    pub early_stop_threshold: Option<f64>,
    /// Whether training uses what is suggested.
    #[serde(default = "crate::callbacks::yes")]
    pub update_attr: bool,
}

const fn default_min_lr() -> f64 {
    1e-8
}

const fn default_max_lr() -> f64 {
    1.0
}

const fn default_num_training_steps() -> u64 {
    100
}

#[expect(clippy::unnecessary_wraps, reason = "the form that serde asks for")]
const fn default_early_stop_threshold() -> Option<f64> {
    Some(4.0)
}

/// What a search measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LearningRateCurve {
    /// The rate of each step.
    pub lr: Vec<f64>,
    /// The smoothed loss of each step.
    pub loss: Vec<f64>,
    /// The step at whose rate the loss falls most steeply.
    pub suggestion: Option<usize>,
    /// How rates grew.
    pub mode: Spacing,
}

/// Weight of what was smoothed before.
const SMOOTHING: f64 = 0.98;
/// Steps at the beginning and at the end that are no basis for a suggestion.
const SKIP_BEGIN: usize = 10;
const SKIP_END: usize = 1;

impl LearningRateSearch {
    /// The rate of a step, from 0.
    fn rate(&self, step: u64) -> f64 {
        // As Lightning's: the first step has the least rate, the last the greatest, and no step the second rate.
        let share = if step == 0 { 0.0 } else { (step + 1) as f64 / self.num_training_steps as f64 };
        match self.mode {
            Spacing::Exponential => self.min_lr * (self.max_lr / self.min_lr).powf(share),
            Spacing::Linear => self.min_lr + share * (self.max_lr - self.min_lr),
        }
    }
}

impl LearningRateCurve {
    /// The suggested rate.
    pub fn suggested(&self) -> Option<f64> {
        self.suggestion.and_then(|step| self.lr.get(step).copied())
    }

    fn suggest(&mut self) {
        let end = self.loss.len().saturating_sub(SKIP_END);
        let points: Vec<_> = (SKIP_BEGIN.min(end)..end).filter(|&step| self.loss[step].is_finite()).collect();
        let (x, y): (Vec<_>, Vec<_>) = points.iter().map(|&step| (self.lr[step], self.loss[step])).unzip();
        let slopes = gradient(&x, &y);
        let steepest = slopes.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
        self.suggestion = steepest.map(|(index, _)| points[index]);
    }
}

/// The derivative of `y` at each `x`, of second order within and of first at both ends, as `torch.gradient`; none for fewer
/// than two points.
fn gradient(x: &[f64], y: &[f64]) -> Vec<f64> {
    let slope = |a: usize, b: usize| (y[b] - y[a]) / (x[b] - x[a]);
    let last = match x.len() {
        0 | 1 => return Vec::new(),
        points => points - 1,
    };
    let within = (1..last).map(|at| {
        let (left, right) = (x[at] - x[at - 1], x[at + 1] - x[at]);
        let weights = [
            -right / (left * (left + right)),
            (right - left) / (left * right),
            left / (right * (left + right)),
        ];
        weights[0] * y[at - 1] + weights[1] * y[at] + weights[2] * y[at + 1]
    });
    std::iter::once(slope(0, 1)).chain(within).chain(std::iter::once(slope(last - 1, last))).collect()
}

impl Fit<'_, '_> {
    /// Trains with growing rates, undoes that, and tells what was measured.
    pub(super) fn search_learning_rate(&mut self, search: &LearningRateSearch) -> Result<LearningRateCurve> {
        if !self.model.automatic_optimization() {
            return Err(Error::config(
                "callbacks",
                "the learning-rate finder works with one optimizer that the trainer steps: leave it out for a model that steps its own",
            ));
        }
        let mut curve = LearningRateCurve { mode: search.mode, ..LearningRateCurve::default() };
        let mut rates = Vec::new();
        let (mut average, mut best) = (0.0, 0.0);
        self.trial(|fit| {
            fit.trial_steps(
                search.num_training_steps,
                |fit, step| {
                    let rate = search.rate(step);
                    rates.push(rate);
                    for slot in fit.session.optimizers.iter_mut() {
                        for group in slot.optimizer.param_groups_mut() {
                            group.lr = rate;
                        }
                    }
                },
                |_, done, loss| {
                    let Some(loss) = loss else {
                        curve.loss.push(f64::NAN);
                        return true;
                    };
                    average = SMOOTHING * average + (1.0 - SMOOTHING) * loss;
                    let corrected = 1.0 - SMOOTHING.powf((done + 1) as f64);
                    let smoothed = average / corrected;
                    let diverges =
                        done > 1 && search.early_stop_threshold.is_some_and(|most| smoothed > most * best);
                    if smoothed < best || done == 1 {
                        best = smoothed;
                    }
                    curve.loss.push(smoothed);
                    !diverges
                },
            )
        })?;
        rates.truncate(curve.loss.len());
        curve.lr = rates;
        curve.suggest();
        Ok(curve)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derivative_over_uneven_points_is_that_of_torch() {
        // torch.gradient(torch.tensor([1., 4., 2., 8., 3.]), spacing=[torch.tensor([0., 1., 3., 4., 8.])])
        let slopes = gradient(&[0.0, 1.0, 3.0, 4.0, 8.0], &[1.0, 4.0, 2.0, 8.0, 3.0]);
        let torch = [3.0, 1.666_666_6, 3.666_666_7, 4.55, -1.25];
        for (ours, theirs) in slopes.iter().zip(torch) {
            assert!((ours - theirs).abs() < 1e-6, "{slopes:?}");
        }
    }

    #[test]
    fn rates_run_from_the_least_to_the_greatest() {
        let mut search = LearningRateSearch {
            min_lr: 1e-8,
            max_lr: 1.0,
            num_training_steps: 100,
            mode: Spacing::Exponential,
            early_stop_threshold: None,
            update_attr: false,
        };
        assert!((search.rate(0) - 1e-8).abs() < 1e-20 && (search.rate(99) - 1.0).abs() < 1e-12);
        assert!((search.rate(49) / 1e-4 - 1.0).abs() < 1e-9);
        search.mode = Spacing::Linear;
        assert!((search.rate(49) - 0.5).abs() < 1e-7);
    }

    #[test]
    fn the_steepest_fall_is_suggested_and_values_that_are_not_numbers_are_passed_over() {
        let mut loss = vec![2.0; 30];
        (loss[20], loss[21], loss[22]) = (1.9, 1.0, 0.9);
        loss[15] = f64::NAN;
        loss[29] = f64::NEG_INFINITY;
        let lr = (0..30).map(f64::from).collect();
        let mut curve = LearningRateCurve { lr, loss, ..LearningRateCurve::default() };
        curve.suggest();
        assert_eq!(curve.suggestion, Some(20));
        let mut short =
            LearningRateCurve { lr: vec![1.0; 5], loss: vec![1.0; 5], ..LearningRateCurve::default() };
        short.suggest();
        assert_eq!(short.suggested(), None);
    }
}
