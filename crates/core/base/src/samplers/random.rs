//! A new order each epoch.

use std::num::NonZeroUsize;

use fulmen_registry::{BuildError, component};
use fulmen_utils::Address;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Dataset;
use crate::sampler::{Order, Sampler, SamplerKind};

/// The samples in a new order each epoch, as torch's `RandomSampler`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomConfig {
    /// Whether a sample that was drawn may be drawn again in the same epoch.
    #[serde(default)]
    pub replacement: bool,
    /// Samples of an epoch; null takes as many as the dataset has.
    #[serde(default)]
    #[schemars(extend("minimum" = 1))]
    pub num_samples: Option<NonZeroUsize>,
}

component! { SamplerKind, "random", RandomConfig => |config: &RandomConfig, dataset: &dyn Dataset| {
    let samples = dataset.len();
    let draws = draws(config.num_samples, config.replacement, samples)?;
    Ok(Box::new(Random { samples, draws, replacement: config.replacement }) as Box<dyn Sampler>)
} }

/// Draws of an epoch: as set, else as many as there are samples.
pub(super) fn draws(
    set: Option<NonZeroUsize>,
    replacement: bool,
    samples: usize,
) -> Result<usize, BuildError> {
    let draws = set.map_or(samples, NonZeroUsize::get);
    if draws > samples && (!replacement || samples == 0) {
        let message = format!(
            "{draws} samples an epoch cannot be had from {samples} without drawing one twice: set replacement=true, or at most {samples}"
        );
        return Err(BuildError::setting("num_samples", message));
    }
    Ok(draws)
}

/// A new order each epoch.
#[derive(Debug, Clone, Copy)]
pub struct Random {
    /// Samples to draw from.
    pub samples: usize,
    /// Samples of an epoch; at most `samples` without replacement.
    pub draws: usize,
    /// Whether each draw is put back.
    pub replacement: bool,
}

impl Sampler for Random {
    fn len(&self) -> usize {
        self.draws
    }

    fn order(&self, _: usize, address: Address) -> Order {
        let Self { samples, draws, replacement } = *self;
        if replacement {
            return Order::Drawn { draws, samples, address };
        }
        let mut order = address.permutation(samples);
        order.truncate(draws);
        Order::Listed(order)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{counts, order, refusal};

    #[test]
    fn each_epoch_holds_each_sample_once_in_an_order_of_its_own() {
        let settings = r#"{"_target_": "random"}"#;
        let first = order(settings, 50, 8, 0);
        assert_eq!(counts(&first, 50), [1; 50]);
        assert_eq!(first, order(settings, 50, 3, 0));
        assert_ne!(first, order(settings, 50, 8, 1));
        let some = order(r#"{"_target_": "random", "num_samples": 20}"#, 50, 8, 0);
        assert_eq!(some, first[..20]);
    }

    #[test]
    fn with_replacement_samples_come_as_often_as_chance_has_it() {
        let drawn = order(r#"{"_target_": "random", "replacement": true, "num_samples": 6000}"#, 6, 8, 0);
        let counts = counts(&drawn, 6);
        // 1000 on average, with a deviation of 29.
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert!(counts.iter().any(|count| *count != 1000));
    }

    #[test]
    fn more_samples_than_there_are_need_replacement() {
        let error = refusal(r#"{"_target_": "random", "num_samples": 51}"#, 50);
        assert_eq!(error.key_below("sampler"), "sampler.num_samples");
        assert!(error.to_string().contains("replacement=true"), "{error}");
    }
}
