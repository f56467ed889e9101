//! Orders of samplers as a run builds them.

use fulmen_registry::{BuildError, registry};
use fulmen_utils::Address;

use crate::sampler::{Order, Sampler, SamplerKind};
use crate::{Batch, Dataset, Result};

/// So many samples; every sixth is of class 1, the others of class 0. Seven samples have neither class nor length.
#[derive(Debug)]
struct Samples(usize);

impl Dataset for Samples {
    fn len(&self) -> usize {
        self.0
    }

    fn batch(&self, _: &[usize], _: Address) -> Result<Batch> {
        Ok(Batch::new())
    }

    fn label_of(&self, index: usize) -> Option<i64> {
        (self.0 != 7).then_some(i64::from(index.is_multiple_of(6)))
    }

    fn length_of(&self, index: usize) -> Option<usize> {
        (self.0 != 7).then(|| length_of(index))
    }
}

pub(super) const fn length_of(index: usize) -> usize {
    index * 31 % 97
}

fn build(settings: &str, samples: usize) -> std::result::Result<Box<dyn Sampler>, BuildError> {
    let settings = serde_json::from_str(settings).unwrap();
    registry().unwrap().build::<SamplerKind>(&settings, &Samples(samples))
}

/// The whole order of an epoch.
pub(super) fn order(settings: &str, samples: usize, batch_size: usize, epoch: u64) -> Vec<usize> {
    let sampler = build(settings, samples).unwrap();
    let order: Order = sampler.order(batch_size, Address::root(3).at(epoch));
    assert_eq!(order.len(), sampler.len());
    (0..order.len()).map(|position| order.at(position)).collect()
}

pub(super) fn refusal(settings: &str, samples: usize) -> BuildError {
    build(settings, samples).unwrap_err()
}

/// How often each sample comes.
pub(super) fn counts(order: &[usize], samples: usize) -> Vec<usize> {
    let mut counts = vec![0; samples];
    order.iter().for_each(|&sample| counts[sample] += 1);
    counts
}
