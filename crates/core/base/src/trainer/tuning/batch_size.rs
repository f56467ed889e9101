//! The greatest number of samples a batch that the memory holds.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::memory::MemoryGuard;
use crate::trainer::fit::Fit;
use crate::{Error, Result, Split};

/// How sizes are tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SizeSearchMode {
    /// Doubled until one does not fit.
    #[default]
    Power,
    /// The same, and then halfway between the greatest that fits and the least that does not.
    Binsearch,
}

/// Finds the greatest batch that the memory holds, before training begins, and uses it; under Lightning's names and with its
/// defaults. What it tries is undone.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchSizeSearch {
    /// `power` doubles until a batch does not fit, `binsearch` then halves the difference.
    #[serde(default)]
    pub mode: SizeSearchMode,
    /// Optimizer steps of each size.
    #[serde(default = "default_steps_per_trial")]
    #[schemars(range(min = 1))]
    pub steps_per_trial: u64,
    /// The first size.
    #[serde(default = "default_init_val")]
    #[schemars(extend("minimum" = 1))]
    pub init_val: NonZeroUsize,
    /// Most sizes that are tried.
    #[serde(default = "default_max_trials")]
    #[schemars(range(min = 1))]
    pub max_trials: u64,
    /// The share by which what `binsearch` found is made smaller, to be safe.
    #[serde(default = "default_margin")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub margin: f64,
    /// The greatest size.
    #[serde(default = "default_max_val")]
    #[schemars(extend("minimum" = 1))]
    pub max_val: NonZeroUsize,
    /// Bytes that the process may take on a CPU. Left null: what machine and container have left, less a tenth.
    #[serde(default)]
    pub memory_limit: Option<u64>,
}

const fn default_steps_per_trial() -> u64 {
    3
}

const fn default_init_val() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(1)
}

const fn default_max_trials() -> u64 {
    25
}

const fn default_margin() -> f64 {
    0.05
}

const fn default_max_val() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(8191)
}

impl BatchSizeSearch {
    /// The greatest size, of at most `samples`, that was seen to fit; none where not one sample does.
    fn run(&self, samples: usize, mut fits: impl FnMut(usize) -> Result<bool>) -> Result<Option<usize>> {
        let cap = self.max_val.get().min(samples.max(1));
        let (mut low, mut high) = (None, None);
        let mut size = self.init_val.get().min(cap);
        for _ in 0..self.max_trials {
            if fits(size)? {
                low = Some(size);
            } else {
                high = Some(size);
            }
            size = match (low, high, self.mode) {
                (Some(low), None, _) if low < cap => (low * 2).min(cap),
                (None, Some(high), _) if high > 1 => high / 2,
                (Some(low), Some(high), SizeSearchMode::Binsearch) if high - low > 1 => low.midpoint(high),
                _ => break,
            };
        }
        Ok(low.map(|found| match self.mode {
            SizeSearchMode::Power => found,
            SizeSearchMode::Binsearch => ((found as f64 * (1.0 - self.margin)) as usize).max(1),
        }))
    }
}

impl Fit<'_, '_> {
    /// Trains for a few steps with each size, undoes that, and tells the greatest that fits.
    pub(super) fn search_batch_size(&mut self, search: &BatchSizeSearch) -> Result<NonZeroUsize> {
        let samples = self.data.dataset(Split::Train).map_or(0, |dataset| dataset.len());
        let configured = self.session.trainer.loader.batch_size;
        let on_cpu = !self.session.trainer.strategy.device().is_cuda();
        let mut guard = on_cpu.then(|| MemoryGuard::new(search.memory_limit));
        let found = search.run(samples, |size| {
            let Some(size) = NonZeroUsize::new(size) else { return Ok(false) };
            if guard.as_ref().is_some_and(|guard| !guard.expects(size.get())) {
                return Ok(false);
            }
            self.set_batch_size(size)?;
            if let Some(guard) = &mut guard {
                guard.begin();
            }
            let tried = self.trial(|fit| fit.trial_steps(search.steps_per_trial, |_, _| {}, |_, _, _| true));
            let within = guard.as_mut().is_none_or(|guard| guard.end(size.get()));
            match tried {
                Ok(()) => Ok(within),
                Err(error) if is_out_of_memory(&error) => Ok(false),
                Err(error) => Err(error),
            }
        });
        self.set_batch_size(configured)?;
        found?.and_then(NonZeroUsize::new).ok_or_else(|| {
            Error::config(
                "callbacks",
                "the batch-size finder found no size that fits the memory, not even one sample: use a smaller model, or raise its memory_limit",
            )
        })
    }
}

/// Whether libtorch had no memory left: what CUDA's allocator, cuBLAS and the CPU's allocator say then.
fn is_out_of_memory(error: &Error) -> bool {
    let message = error.to_string();
    ["out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory", "not enough memory"]
        .iter()
        .any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(mode: SizeSearchMode) -> BatchSizeSearch {
        BatchSizeSearch {
            mode,
            steps_per_trial: 1,
            init_val: NonZeroUsize::new(2).unwrap(),
            max_trials: 25,
            margin: 0.05,
            max_val: NonZeroUsize::new(8192).unwrap(),
            memory_limit: None,
        }
    }

    /// What is found where sizes up to `most` fit, and what was tried.
    fn found(search: &BatchSizeSearch, samples: usize, most: usize) -> (Option<usize>, Vec<usize>) {
        let mut tried = Vec::new();
        let found = search.run(samples, |size| {
            tried.push(size);
            Ok(size <= most)
        });
        (found.unwrap(), tried)
    }

    #[test]
    fn powers_are_tried_until_one_does_not_fit() {
        let power = search(SizeSearchMode::Power);
        assert_eq!(found(&power, 1000, 100), (Some(64), vec![2, 4, 8, 16, 32, 64, 128]));
        // Where the first does not fit, smaller ones are tried.
        assert_eq!(found(&power, 1000, 1), (Some(1), vec![2, 1]));
        assert_eq!(found(&power, 1000, 0).0, None);
    }

    #[test]
    fn a_binary_search_ends_at_the_greatest_size_less_a_margin() {
        let mut binary = search(SizeSearchMode::Binsearch);
        assert_eq!(found(&binary, 1000, 100).0, Some(95));
        binary.margin = 0.0;
        assert_eq!(found(&binary, 1000, 100).0, Some(100));
    }

    #[test]
    fn neither_the_data_nor_the_greatest_size_is_passed() {
        let mut power = search(SizeSearchMode::Power);
        assert_eq!(found(&power, 50, 100).0, Some(50));
        power.max_val = NonZeroUsize::new(20).unwrap();
        assert_eq!(found(&power, 50, 100).0, Some(20));
        power.max_trials = 2;
        assert_eq!(found(&power, 50, 100).0, Some(4));
    }
}
