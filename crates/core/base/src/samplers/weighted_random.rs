//! Samples by weight, such as rare classes as often as common ones.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use fulmen_registry::{BuildError, component};
use fulmen_utils::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::random::draws;
use crate::Dataset;
use crate::sampler::{Order, Sampler, SamplerKind};

/// Draws each sample with a probability in proportion to its weight, as torch's `WeightedRandomSampler`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedRandomConfig {
    /// `balanced` weighs each class by 1 over its number of samples, so that all classes come equally often. Else a weight for
    /// each sample, none below 0: a list, or the path of a text file with one number a line.
    #[serde(default)]
    pub weights: Weights,
    /// Samples of an epoch; null takes as many as the dataset has.
    #[serde(default)]
    #[schemars(extend("minimum" = 1))]
    pub num_samples: Option<NonZeroUsize>,
    /// Whether a sample that was drawn may be drawn again in the same epoch.
    #[serde(default = "yes")]
    pub replacement: bool,
}

/// Where weights come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Weights {
    /// One a sample.
    Listed(Vec<f64>),
    /// `balanced`, or a file.
    Named(String),
}

const BALANCED: &str = "balanced";

impl Default for Weights {
    fn default() -> Self {
        Self::Named(BALANCED.to_owned())
    }
}

const fn yes() -> bool {
    true
}

component! { SamplerKind, "weighted_random", WeightedRandomConfig => |config: &WeightedRandomConfig, dataset: &dyn Dataset| {
    WeightedRandom::new(config, dataset).map(|sampler| Box::new(sampler) as Box<dyn Sampler>)
} }

/// Samples by weight.
#[derive(Debug, Clone)]
pub struct WeightedRandom {
    draws: usize,
    with: Draw,
}

#[derive(Debug, Clone)]
enum Draw {
    /// Sums of the weights up to and with each sample.
    Replacement(Arc<[f64]>),
    /// The weights.
    Once(Vec<f64>),
}

impl WeightedRandom {
    /// For the samples of `dataset`.
    ///
    /// # Errors
    /// When there are not as many weights as samples, one is negative or not finite, or too few are above 0.
    pub fn new(config: &WeightedRandomConfig, dataset: &dyn Dataset) -> Result<Self, BuildError> {
        let wrong = |message: String| Err(BuildError::setting("weights", message));
        let samples = dataset.len();
        let draws = draws(config.num_samples, config.replacement, samples)?;
        let weights = match &config.weights {
            Weights::Listed(weights) => weights.clone(),
            Weights::Named(name) if name == BALANCED => balanced(dataset)?,
            Weights::Named(path) => read(Path::new(path))?,
        };
        if weights.len() != samples {
            return wrong(format!(
                "{} weights for {samples} training samples: give one a sample",
                weights.len()
            ));
        }
        if let Some(weight) = weights.iter().find(|weight| !weight.is_finite() || **weight < 0.0) {
            return wrong(format!("{weight} is out of range: a weight is a number from 0 on"));
        }
        let above = weights.iter().filter(|weight| **weight > 0.0).count();
        let needed = if config.replacement { usize::from(draws > 0) } else { draws };
        if above < needed {
            return wrong(format!("{above} weights are above 0, and {needed} samples are to be drawn"));
        }
        let with = if config.replacement {
            let sums = weights.iter().scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            });
            Draw::Replacement(sums.collect())
        } else {
            Draw::Once(weights)
        };
        Ok(Self { draws, with })
    }
}

/// One over the number of samples of each sample's class.
fn balanced(dataset: &dyn Dataset) -> Result<Vec<f64>, BuildError> {
    let Some(labels) = (0..dataset.len()).map(|index| dataset.label_of(index)).collect::<Option<Vec<_>>>()
    else {
        let message =
            "this data has no classes to balance: give a weight for each sample, as a list or a file";
        return Err(BuildError::setting("weights", message));
    };
    let mut counts = std::collections::HashMap::<i64, u64>::new();
    for label in &labels {
        *counts.entry(*label).or_default() += 1;
    }
    Ok(labels.iter().map(|label| 1.0 / counts[label] as f64).collect())
}

fn read(path: &Path) -> Result<Vec<f64>, BuildError> {
    let text = fs::read_to_string(path).map_err(|error| {
        let message = format!(
            "{}: cannot be read: {error}; expected '{BALANCED}', a list, or a file with one number a line",
            path.display()
        );
        BuildError::setting("weights", message)
    })?;
    let number = |(index, line): (usize, &str)| {
        line.trim().parse().map_err(|_| {
            let message = format!("{}: line {} is no number: '{line}'", path.display(), index + 1);
            BuildError::setting("weights", message)
        })
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(number).collect()
}

impl Sampler for WeightedRandom {
    fn len(&self) -> usize {
        self.draws
    }

    fn order(&self, _: usize, address: Address) -> Order {
        match &self.with {
            Draw::Replacement(sums) => Order::Weighted { draws: self.draws, sums: sums.clone(), address },
            Draw::Once(weights) => Order::Listed(drawn_once(weights, self.draws, address)),
        }
    }
}

/// `draws` samples by weight, none twice: those whose exponential clocks of rate `weight` ring first (Efraimidis and Spirakis
/// 2006, doi:10.1016/j.ipl.2005.11.003).
fn drawn_once(weights: &[f64], draws: usize, address: Address) -> Vec<usize> {
    let mut drawn = address.draws();
    let mut rings: Vec<(f64, usize)> = weights
        .iter()
        .enumerate()
        .map(|(sample, weight)| (-(1.0 - drawn.uniform()).ln() / weight, sample))
        .filter(|(_, sample)| weights[*sample] > 0.0)
        .collect();
    rings.sort_by(|a, b| a.0.total_cmp(&b.0));
    rings.into_iter().take(draws).map(|(_, sample)| sample).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{counts, order, refusal};

    #[test]
    fn classes_come_equally_often_when_balanced() {
        // Of 60 samples, those whose index is a multiple of 6 are of class 1.
        let drawn = order(r#"{"_target_": "weighted_random", "num_samples": 6000}"#, 60, 8, 0);
        let rare = drawn.iter().filter(|sample| sample.is_multiple_of(6)).count();
        assert!((2800..3200).contains(&rare), "{rare}");
        assert_ne!(drawn[..60], order(r#"{"_target_": "weighted_random"}"#, 60, 8, 1));
    }

    #[test]
    fn a_sample_comes_in_proportion_to_its_weight_and_never_without_one() {
        let settings =
            r#"{"_target_": "weighted_random", "weights": [0, 1, 3, 0, 4, 0], "num_samples": 8000}"#;
        let counts = counts(&order(settings, 6, 8, 0), 6);
        assert_eq!([counts[0], counts[3], counts[5]], [0; 3]);
        for (count, expected) in [(counts[1], 1000), (counts[2], 3000), (counts[4], 4000)] {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
    }

    #[test]
    fn without_replacement_the_heavy_come_first_and_none_twice() {
        let settings = r#"{"_target_": "weighted_random", "weights": [1, 1, 1, 1, 1000], "num_samples": 3, "replacement": false}"#;
        let orders: Vec<_> = (0..50).map(|epoch| order(settings, 5, 8, epoch)).collect();
        assert!(orders.iter().all(|order| order.len() == 3 && counts(order, 5).iter().all(|&n| n <= 1)));
        assert!(orders.iter().filter(|order| order[0] == 4).count() > 45);
    }

    #[test]
    fn weights_from_a_file_are_those_of_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.txt");
        std::fs::write(&path, "0.5\n2\n\n1e-3\n").unwrap();
        let settings = |weights: String| {
            format!(r#"{{"_target_": "weighted_random", "weights": {weights}, "num_samples": 100}}"#)
        };
        let listed = order(&settings("[0.5, 2, 0.001]".to_owned()), 3, 8, 0);
        assert_eq!(order(&settings(format!("{:?}", path.display().to_string())), 3, 8, 0), listed);
    }

    #[test]
    fn weights_that_do_not_fit_are_refused_with_the_reason() {
        for (weights, samples, expected) in [
            ("[1, 2]", 3, "2 weights for 3"),
            ("[1, -2]", 2, "-2 is out of range"),
            ("[0, 0]", 2, "0 weights are above 0"),
            ("\"/no/such/file\"", 2, "/no/such/file: cannot be read"),
            // The test's data of 7 samples has no classes.
            ("\"balanced\"", 7, "no classes"),
        ] {
            let error =
                refusal(&format!(r#"{{"_target_": "weighted_random", "weights": {weights}}}"#), samples);
            assert_eq!(error.key_below("sampler"), "sampler.weights");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
