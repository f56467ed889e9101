//! Batches of samples of similar length.

use std::num::NonZeroUsize;

use fulmen_registry::{BuildError, component};
use fulmen_utils::Address;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Dataset;
use crate::sampler::{Order, Sampler, SamplerKind};

/// Batches of samples of similar length, so that little is padded. Of a new order of all samples each epoch, pools of so many
/// batches are sorted by length and cut into batches; the batches then come in random order.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketByLengthConfig {
    /// Batches of a pool: more make lengths more alike, fewer mix the samples better.
    #[serde(default = "default_pool_batches")]
    #[schemars(extend("minimum" = 1))]
    pub pool_batches: NonZeroUsize,
}

fn default_pool_batches() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(49)
}

component! { SamplerKind, "bucket_by_length", BucketByLengthConfig => |config: &BucketByLengthConfig, dataset: &dyn Dataset| {
    BucketByLength::new(config, dataset).map(|sampler| Box::new(sampler) as Box<dyn Sampler>)
} }

/// Batches of samples of similar length.
#[derive(Debug, Clone)]
pub struct BucketByLength {
    lengths: Vec<usize>,
    pool_batches: usize,
}

impl BucketByLength {
    /// For the samples of `dataset`.
    ///
    /// # Errors
    /// When its samples have no length.
    pub fn new(config: &BucketByLengthConfig, dataset: &dyn Dataset) -> Result<Self, BuildError> {
        let lengths: Option<Vec<_>> = (0..dataset.len()).map(|index| dataset.length_of(index)).collect();
        let Some(lengths) = lengths else {
            let message = "the samples of this data have no length to sort them by: choose another sampler, such as 'random'";
            return Err(BuildError::setting("", message));
        };
        Ok(Self { lengths, pool_batches: config.pool_batches.get() })
    }
}

impl Sampler for BucketByLength {
    fn len(&self) -> usize {
        self.lengths.len()
    }

    fn order(&self, batch_size: usize, address: Address) -> Order {
        let batch_size = batch_size.max(1);
        let mut order = address.permutation(self.lengths.len());
        // The last batch, where it has fewer samples, must stay last: it keeps those that came to stand there.
        let whole = order.len() - order.len() % batch_size;
        for pool in order[..whole].chunks_mut(batch_size.saturating_mul(self.pool_batches)) {
            pool.sort_by_key(|&sample| self.lengths[sample]);
        }
        let batches = address.named("batches").permutation(whole / batch_size);
        let sorted =
            batches.into_iter().flat_map(|batch| &order[batch * batch_size..(batch + 1) * batch_size]);
        Order::Listed(sorted.chain(&order[whole..]).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{counts, length_of, order, refusal};

    #[test]
    fn batches_hold_similar_lengths_and_come_in_no_order_of_length() {
        let settings = r#"{"_target_": "bucket_by_length"}"#;
        let drawn = order(settings, 1005, 10, 0);
        assert_eq!(counts(&drawn, 1005), [1; 1005]);
        let spread = |batch: &[usize]| {
            let lengths: Vec<_> = batch.iter().map(|&sample| length_of(sample)).collect();
            lengths.iter().max().unwrap() - lengths.iter().min().unwrap()
        };
        // Lengths are 0 to 96; a batch of a random order spreads over about 80 of them.
        let spreads: Vec<_> = drawn[..1000].chunks(10).map(spread).collect();
        assert!(spreads.iter().sum::<usize>() < 100 * 5, "{spreads:?}");
        let firsts: Vec<_> = drawn[..1000].chunks(10).map(|batch| length_of(batch[0])).collect();
        let ascents = firsts.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((30..70).contains(&ascents), "{ascents}");
        assert_eq!(drawn, order(settings, 1005, 10, 0));
        assert_ne!(drawn, order(settings, 1005, 10, 1));
    }

    #[test]
    fn data_without_lengths_is_refused() {
        let error = refusal(r#"{"_target_": "bucket_by_length"}"#, 7);
        assert_eq!(error.key_below("dataloader.sampler"), "dataloader.sampler");
        assert!(error.to_string().contains("no length"), "{error}");
    }
}
