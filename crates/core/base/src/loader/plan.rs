//! Which samples make which batch of an epoch, and the making of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fulmen_torch::layout;
use fulmen_torch::tch::Kind;
use fulmen_utils::Address;

use super::batches::Waiting;
use super::{DataLoader, Finish, desk};
use crate::sampler::Order;
use crate::trainer::panic_message;
use crate::{Batch, Dataset, Error, Result};

/// One of several processes that share an epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rank {
    pub(super) rank: usize,
    /// At least 1.
    pub(super) world_size: usize,
}

impl Default for Rank {
    fn default() -> Self {
        Self { rank: 0, world_size: 1 }
    }
}

impl Rank {
    /// Samples of this rank, of an epoch of `samples`.
    const fn samples(self, samples: usize, drop_last: bool) -> usize {
        if drop_last { samples / self.world_size } else { samples.div_ceil(self.world_size) }
    }

    /// Batches of this rank.
    pub(super) const fn batches(self, samples: usize, batch_size: usize, drop_last: bool) -> u64 {
        let own = self.samples(samples, drop_last);
        (if drop_last { own / batch_size } else { own.div_ceil(batch_size) }) as u64
    }
}

/// An epoch of one rank.
#[derive(Debug)]
pub(super) struct Plan {
    dataset: Arc<dyn Dataset>,
    order: Order,
    batch_size: usize,
    rank: Rank,
    /// Samples of this rank.
    samples: usize,
    finish: Finish,
    /// Where sample `i` draws below `address.at(i)`; where samples repeat, below that of their batch.
    address: Address,
}

impl Plan {
    pub(super) fn new(loader: &DataLoader, epoch: u64) -> Self {
        let root = Address::root(loader.seed);
        let together = loader.batch_size.saturating_mul(loader.rank.world_size);
        let order = loader.sampler.order(together, root.named("shuffle").at(epoch));
        Self {
            dataset: loader.dataset.clone(),
            samples: loader.rank.samples(order.len(), loader.drop_last),
            order,
            batch_size: loader.batch_size,
            rank: loader.rank,
            finish: loader.finish,
            address: root.named("augment").at(epoch),
        }
    }

    /// The samples of a batch.
    pub(super) fn indices(&self, batch: u64) -> Vec<usize> {
        let first = (batch as usize).saturating_mul(self.batch_size).min(self.samples);
        let last = (first + self.batch_size).min(self.samples);
        let Rank { rank, world_size } = self.rank;
        // Beyond its end an epoch begins again, so that all ranks have as many samples.
        (first..last).map(|own| self.order.at((own * world_size + rank) % self.order.len())).collect()
    }

    /// What the loader is about while it makes `batch`, with `reading` being read.
    pub(super) fn waiting(&self, batch: u64, reading: Option<usize>) -> Waiting {
        let reading = reading.map(|index| self.dataset.describe(index));
        Waiting { batch, samples: self.indices(batch), reading }
    }

    /// Reads a batch; a panic of the dataset becomes an error that names the samples.
    pub(super) fn batch(&self, batch: u64) -> Result<Batch> {
        let made = catch_unwind(AssertUnwindSafe(|| self.make(batch)));
        let made = made.unwrap_or_else(|panic| {
            let Waiting { samples, reading, .. } = self.waiting(batch, desk::now());
            let mut named = list(&samples);
            if let Some(reading) = reading {
                named = format!("{named}, at {reading}");
            }
            Err(Error::Loader { batch, samples: named, message: panic_message(panic.as_ref()) })
        });
        desk::clear();
        made
    }

    fn make(&self, batch: u64) -> Result<Batch> {
        let address = if self.order.repeats() { self.address.at(batch) } else { self.address };
        let made = self.dataset.batch(&self.indices(batch), address)?;
        if self.finish.channels_last {
            for (_, tensor) in made.iter().filter(|(_, tensor)| tensor.dim() == 4) {
                if tensor.kind() == Kind::Float {
                    layout::channels_last(tensor)?;
                }
            }
        }
        match self.finish.pin_for {
            Some(device) => made.try_map(|tensor| Ok(tensor.f_pin_memory(device)?)),
            None => Ok(made),
        }
    }
}

/// `samples 5, 17, 2 and 29 more`.
pub(super) fn list(samples: &[usize]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = samples.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match samples.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("samples {}{more}", shown.join(", "))
}
