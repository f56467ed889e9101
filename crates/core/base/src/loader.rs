//! Batches of a dataset in an order that depends on seed and epoch alone, read ahead by threads.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use fulmen_utils::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Batch, Dataset, Error, Result};

/// How batches are made, under the names of torch's `DataLoader`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataLoaderConfig {
    /// Samples a batch in training.
    #[serde(default = "default_batch_size")]
    #[schemars(extend("minimum" = 1))]
    pub batch_size: NonZeroUsize,
    /// Samples a batch in validation, test and prediction. Left out: as in training.
    #[serde(default)]
    pub eval_batch_size: Option<NonZeroUsize>,
    /// Threads that read ahead; 0 reads in the training thread itself.
    #[serde(default)]
    pub num_workers: usize,
    /// Batches that each thread may be ahead.
    #[serde(default = "default_prefetch_factor")]
    #[schemars(extend("minimum" = 1))]
    pub prefetch_factor: NonZeroUsize,
    /// Whether the training data comes in a new order each epoch.
    #[serde(default = "yes")]
    pub shuffle: bool,
    /// Whether a last training batch of fewer samples is left out.
    #[serde(default)]
    pub drop_last: bool,
    /// Seconds without a batch after which the run fails; 0 waits for ever. Needs `num_workers`.
    #[serde(default)]
    pub timeout: u64,
    /// Seconds without a batch after which a warning says what is waited for; null is silent.
    #[serde(default = "default_stall_warning")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub stall_warning: Option<f64>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
const fn default_stall_warning() -> Option<f64> {
    Some(60.0)
}

/// Says what a batch is made of, by its number in the epoch: for a report on a loader that stands still.
pub(crate) type WaitingFor = Arc<dyn Fn(u64) -> String + Send + Sync>;

fn default_batch_size() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(63)
}

fn default_prefetch_factor() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(1)
}

const fn yes() -> bool {
    true
}

impl Default for DataLoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: default_batch_size(),
            eval_batch_size: None,
            num_workers: 0,
            prefetch_factor: default_prefetch_factor(),
            shuffle: true,
            drop_last: false,
            timeout: 0,
            stall_warning: default_stall_warning(),
        }
    }
}

/// Batches of one dataset.
#[derive(Debug, Clone)]
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    batch_size: usize,
    shuffle: bool,
    drop_last: bool,
    num_workers: usize,
    prefetch: usize,
    timeout: Option<Duration>,
    seed: u64,
}

impl DataLoader {
    /// For training: shuffled and cut as the config says.
    pub fn train(dataset: Arc<dyn Dataset>, config: &DataLoaderConfig, seed: u64) -> Self {
        Self {
            shuffle: config.shuffle,
            drop_last: config.drop_last,
            ..Self::new(dataset, config, config.batch_size, seed)
        }
    }

    /// For evaluation: every sample once, in order.
    pub fn eval(dataset: Arc<dyn Dataset>, config: &DataLoaderConfig, seed: u64) -> Self {
        Self::new(dataset, config, config.eval_batch_size.unwrap_or(config.batch_size), seed)
    }

    fn new(
        dataset: Arc<dyn Dataset>,
        config: &DataLoaderConfig,
        batch_size: NonZeroUsize,
        seed: u64,
    ) -> Self {
        Self {
            dataset,
            batch_size: batch_size.get(),
            shuffle: false,
            drop_last: false,
            num_workers: config.num_workers,
            prefetch: config.prefetch_factor.get(),
            timeout: Some(config.timeout).filter(|seconds| *seconds > 0).map(Duration::from_secs),
            seed,
        }
    }

    /// Batches an epoch.
    pub fn len(&self) -> u64 {
        let samples = self.dataset.len();
        (if self.drop_last { samples / self.batch_size } else { samples.div_ceil(self.batch_size) }) as u64
    }

    /// Whether an epoch has no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches `from..to` of an epoch. Which samples they hold, and what is drawn for each, is a function of seed, epoch
    /// and index: an epoch entered in its middle goes on exactly as if it had been read from its beginning.
    pub fn batches(&self, epoch: u64, from: u64, to: u64) -> Batches {
        let root = Address::root(self.seed);
        let samples = self.dataset.len();
        let order = if self.shuffle {
            root.named("shuffle").at(epoch).permutation(samples)
        } else {
            (0..samples).collect()
        };
        let plan = Arc::new(Plan {
            dataset: self.dataset.clone(),
            order,
            batch_size: self.batch_size,
            address: root.named("augment").at(epoch),
        });
        let end = to.min(self.len());
        let ahead = (0..self.num_workers.min((end.saturating_sub(from)) as usize))
            .map(|worker| {
                let (send, receive) = sync_channel(self.prefetch);
                let plan = plan.clone();
                let stride = self.num_workers;
                thread::spawn(move || {
                    for batch in ((from + worker as u64)..end).step_by(stride) {
                        // The receiver is gone when the epoch ended early: so ends this thread.
                        if send.send(plan.batch(batch)).is_err() {
                            break;
                        }
                    }
                });
                receive
            })
            .collect();
        Batches { plan, next: from, end, timeout: self.timeout, ahead }
    }
}

#[derive(Debug)]
struct Plan {
    dataset: Arc<dyn Dataset>,
    order: Vec<usize>,
    batch_size: usize,
    address: Address,
}

impl Plan {
    fn batch(&self, batch: u64) -> Result<Batch> {
        self.dataset.batch(self.samples(batch), self.address)
    }
}

impl Plan {
    fn samples(&self, batch: u64) -> &[usize] {
        let first = (batch as usize * self.batch_size).min(self.order.len());
        &self.order[first..(first + self.batch_size).min(self.order.len())]
    }

    fn describe(&self, batch: u64) -> String {
        let samples = self.samples(batch);
        let shown: Vec<_> = samples.iter().take(8).map(usize::to_string).collect();
        let more = if samples.len() > shown.len() {
            format!(" and {} more", samples.len() - shown.len())
        } else {
            String::new()
        };
        format!("samples {}{more} of the dataset", shown.join(", "))
    }
}

impl Batches {
    /// Says what a batch is made of, while another thread waits for it.
    pub(crate) fn waiting_for(&self) -> WaitingFor {
        let plan = self.plan.clone();
        Arc::new(move |batch| plan.describe(batch))
    }

    fn missing(&self, error: RecvTimeoutError) -> Error {
        let batch = self.next;
        match error {
            RecvTimeoutError::Timeout => Error::Stalled {
                batch,
                samples: self.plan.describe(batch),
                seconds: self.timeout.unwrap_or_default().as_secs(),
            },
            RecvTimeoutError::Disconnected => Error::Torch(format!(
                "the loader thread of batch {batch} ended without it: see the log above"
            )),
        }
    }
}

/// The batches of an epoch, in order.
#[derive(Debug)]
pub struct Batches {
    plan: Arc<Plan>,
    next: u64,
    end: u64,
    timeout: Option<Duration>,
    /// One channel a thread; batch `i` comes from thread `i mod threads`, so that order never depends on speed.
    ahead: VecDeque<Receiver<Result<Batch>>>,
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let batch = match self.ahead.pop_front() {
            Some(receive) => {
                let batch = match self.timeout {
                    Some(limit) => receive.recv_timeout(limit),
                    None => receive.recv().map_err(|_| RecvTimeoutError::Disconnected),
                };
                self.ahead.push_back(receive);
                batch.unwrap_or_else(|error| Err(self.missing(error)))
            }
            None => self.plan.batch(self.next),
        };
        self.next += 1;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fulmen_torch::tch::Tensor;

    /// Samples that are their own index, plus what was drawn for them.
    #[derive(Debug)]
    struct Numbers(usize);

    impl Dataset for Numbers {
        fn len(&self) -> usize {
            self.0
        }

        fn batch(&self, indices: &[usize], address: Address) -> Result<Batch> {
            let values: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
            let drawn: Vec<f64> =
                indices.iter().map(|&index| address.at(index as u64).draws().uniform()).collect();
            Ok(Batch::new()
                .with("index", Tensor::from_slice(&values))
                .with("drawn", Tensor::from_slice(&drawn)))
        }
    }

    fn loader(num_workers: usize) -> DataLoader {
        let config =
            DataLoaderConfig { batch_size: NonZeroUsize::new(7).unwrap(), num_workers, ..Default::default() };
        DataLoader::train(Arc::new(Numbers(60)), &config, 42)
    }

    fn read(batches: Batches) -> Vec<(Vec<i64>, Vec<f64>)> {
        batches
            .map(|batch| {
                let batch = batch.unwrap();
                let get = |name| batch.get(name).unwrap().shallow_clone();
                (Vec::try_from(get("index")).unwrap(), Vec::try_from(get("drawn")).unwrap())
            })
            .collect()
    }

    #[test]
    fn threads_change_neither_order_nor_draws() {
        let alone = read(loader(0).batches(3, 0, u64::MAX));
        assert_eq!(alone.len(), 9);
        assert_eq!(alone, read(loader(4).batches(3, 0, u64::MAX)));
        assert_ne!(alone, read(loader(0).batches(4, 0, u64::MAX)));
    }

    #[test]
    fn an_epoch_entered_in_its_middle_goes_on_as_if_read_from_its_beginning() {
        let whole = read(loader(0).batches(1, 0, u64::MAX));
        assert_eq!(whole[5..], read(loader(3).batches(1, 5, u64::MAX)));
    }

    #[test]
    fn each_sample_comes_once_an_epoch() {
        let mut seen: Vec<i64> =
            read(loader(2).batches(0, 0, u64::MAX)).into_iter().flat_map(|batch| batch.0).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..60));
    }

    #[test]
    fn an_epoch_left_early_does_not_hang() {
        let mut batches = loader(4).batches(0, 0, u64::MAX);
        assert!(batches.next().is_some());
    }
}
