//! Batches of a dataset in an order that depends on seed and epoch alone, read ahead by threads.
//!
//! `loader/config.rs` has the settings, `loader/plan.rs` says which samples make which batch of which rank, `loader/batches.rs` reads
//! them, `loader/desk.rs` tells what a thread is at.

mod batches;
mod config;
mod desk;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use fulmen_registry::registry;
use fulmen_torch::tch::Device;

pub(crate) use batches::WaitingFor;
pub use batches::{Batches, Next, Waiting};
pub use config::{DataLoaderConfig, PinMemory};
pub use desk::reading;

use crate::sampler::Sampler;
use crate::samplers::{Random, Sequential};
use crate::{Dataset, Error, Result};
use plan::{Plan, Rank};

/// Batches of one dataset.
#[derive(Debug, Clone)]
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    sampler: Arc<dyn Sampler>,
    batch_size: usize,
    drop_last: bool,
    num_workers: usize,
    prefetch: usize,
    pin_memory: PinMemory,
    rank: Rank,
    finish: Finish,
    timeout: Option<Duration>,
    seed: u64,
}

/// What is done to each batch after it was read, where it was read.
#[derive(Debug, Clone, Copy, Default)]
struct Finish {
    /// The CUDA device that the batch is to be copied to from pinned memory.
    pin_for: Option<Device>,
    /// Whether images are laid out as NHWC.
    channels_last: bool,
}

impl DataLoader {
    /// For training: in the sampler's order, else shuffled as the config says.
    ///
    /// # Errors
    /// When the sampler cannot be built for this data.
    pub fn train(dataset: Arc<dyn Dataset>, config: &DataLoaderConfig, seed: u64) -> Result<Self> {
        let samples = dataset.len();
        let sampler: Arc<dyn Sampler> = match &config.sampler {
            Some(sampler) => {
                let registry = registry().map_err(|error| Error::config("", error.to_string()))?;
                let built = sampler.build(registry, dataset.as_ref());
                Arc::from(built.map_err(|source| Error::Build {
                    key: "dataloader.sampler".to_owned(),
                    source: Box::new(source),
                })?)
            }
            None if config.shuffle => Arc::new(Random { samples, draws: samples, replacement: false }),
            None => Arc::new(Sequential(samples)),
        };
        Ok(Self {
            sampler,
            drop_last: config.drop_last,
            batch_size: config.batch_size.get(),
            ..Self::eval(dataset, config, seed)
        })
    }

    /// For evaluation: every sample once, in order.
    pub fn eval(dataset: Arc<dyn Dataset>, config: &DataLoaderConfig, seed: u64) -> Self {
        Self {
            sampler: Arc::new(Sequential(dataset.len())),
            dataset,
            batch_size: config.eval_batch_size.unwrap_or(config.batch_size).get(),
            drop_last: false,
            num_workers: config.num_workers,
            prefetch: config.prefetch_factor.get(),
            pin_memory: config.pin_memory,
            rank: Rank::default(),
            finish: Finish::default(),
            timeout: Some(config.timeout).filter(|seconds| *seconds > 0).map(Duration::from_secs),
            seed,
        }
    }

    /// The share of rank `rank` of `world_size`, as torch's `DistributedSampler` deals samples out: one to each rank in turn. So that
    /// all ranks have as many, the last ones are left out where `drop_last` is set; else the first ones come again at the end. Together
    /// the ranks' batches `i` hold the same samples however many ranks share them, as long as their sizes add up to the same.
    #[must_use]
    pub fn with_rank(mut self, rank: usize, world_size: usize) -> Self {
        self.rank = Rank { rank, world_size: world_size.max(1) };
        self
    }

    /// For a model on `device`: for CUDA, batches come in pinned memory unless `pin_memory` is off.
    #[must_use]
    pub fn for_device(mut self, device: Device) -> Self {
        let pin = matches!(device, Device::Cuda(_)) && self.pin_memory != PinMemory::Switch(false);
        self.finish.pin_for = pin.then_some(device);
        self
    }

    /// Lays images, `[B, C, H, W] f32`, out as NHWC where they are read, rather than in the training thread.
    #[must_use]
    pub fn channels_last(mut self, channels_last: bool) -> Self {
        self.finish.channels_last = channels_last;
        self
    }

    /// Batches an epoch, of this rank.
    pub fn len(&self) -> u64 {
        self.rank.batches(self.sampler.len(), self.batch_size, self.drop_last)
    }

    /// Whether an epoch has no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches `from..to` of an epoch. Which samples they hold, and what is drawn for each, is a function of seed, epoch
    /// and index: an epoch entered in its middle goes on exactly as if it had been read from its beginning.
    pub fn batches(&self, epoch: u64, from: u64, to: u64) -> Batches {
        let plan = Plan::new(self, epoch);
        Batches::start(plan, from, to.min(self.len()), self.num_workers, self.prefetch).within(self.timeout)
    }
}
