//! The kind `sampler`: in which order the samples of an epoch come.

use std::fmt::Debug;
use std::sync::Arc;

use fulmen_registry::Kind;
use fulmen_utils::Address;

use crate::Dataset;

/// Chooses the samples of an epoch and their order. An epoch's order is a function of its address alone, so that an epoch
/// entered in its middle goes on as it would have.
pub trait Sampler: Debug + Send + Sync {
    /// Samples of an epoch.
    fn len(&self) -> usize;

    /// Whether an epoch has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The order of the epoch that is drawn at `address`, about to be cut into batches of `batch_size`: those of all ranks
    /// together.
    fn order(&self, batch_size: usize, address: Address) -> Order;
}

/// The samples of an epoch, by their position in it. What can be computed is not kept.
#[derive(Debug, Clone)]
pub enum Order {
    /// As the dataset has them, so many.
    Ascending(usize),
    /// Each listed sample once.
    Listed(Vec<usize>),
    /// So many draws of `0..samples`, each put back.
    Drawn {
        /// Draws of the epoch.
        draws: usize,
        /// What is drawn from.
        samples: usize,
        /// Where position `i` draws at `address.at(i)`.
        address: Address,
    },
    /// So many draws by weight, each put back.
    Weighted {
        /// Draws of the epoch.
        draws: usize,
        /// Sums of the weights up to and with each sample; the last is above 0.
        sums: Arc<[f64]>,
        /// Where position `i` draws at `address.at(i)`.
        address: Address,
    },
}

impl Order {
    /// Samples of the epoch.
    pub const fn len(&self) -> usize {
        match self {
            Self::Ascending(samples) => *samples,
            Self::Listed(samples) => samples.len(),
            Self::Drawn { draws, .. } | Self::Weighted { draws, .. } => *draws,
        }
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a sample may come more than once.
    pub const fn repeats(&self) -> bool {
        matches!(self, Self::Drawn { .. } | Self::Weighted { .. })
    }

    /// The sample at `position`, which is below [`Self::len`].
    pub fn at(&self, position: usize) -> usize {
        match self {
            Self::Ascending(_) => position,
            Self::Listed(samples) => samples[position],
            Self::Drawn { samples, address, .. } => {
                address.at(position as u64).draws().below(*samples as u64) as usize
            }
            Self::Weighted { sums, address, .. } => {
                let total = sums.last().copied().unwrap_or_default();
                let drawn = address.at(position as u64).draws().uniform() * total;
                // A product rounded up to the total belongs to the last sample that has weight.
                let drawn = if drawn < total { drawn } else { total.next_down() };
                sums.partition_point(|&sum| sum <= drawn)
            }
        }
    }
}

/// The kind `sampler`.
#[derive(Debug)]
pub struct SamplerKind;

impl Kind for SamplerKind {
    const NAME: &'static str = "sampler";
    type Product = Box<dyn Sampler>;
    /// The dataset whose samples it orders.
    type Context<'context> = &'context dyn Dataset;
}
