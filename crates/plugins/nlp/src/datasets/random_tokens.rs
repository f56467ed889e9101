//! Random tokens: for benchmarks, and to try a pipeline out.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_base::{DataModule, DataSpec, Dataset, DatasetContext, DatasetKind, Error, Result, Split};
use fulmen_registry::{BuildError, component};
use fulmen_utils::Address;
use schemars::JsonSchema;
use serde::Deserialize;

use super::blocks::{Blocks, spec};

/// Random tokens, made once in memory: for benchmarks, and to try a pipeline out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomTokensConfig {
    /// Number of different tokens.
    #[serde(default = "default_vocab_size")]
    #[schemars(range(min = 1))]
    pub vocab_size: u32,
    /// Tokens a sample.
    #[serde(default = "default_block_size")]
    #[schemars(extend("minimum" = 1))]
    pub block_size: NonZeroUsize,
    /// Samples to learn from.
    #[serde(default = "default_samples")]
    pub samples: usize,
    /// Samples for validation.
    #[serde(default)]
    pub val_samples: usize,
}

const fn default_vocab_size() -> u32 {
    256
}

fn default_block_size() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(127)
}

const fn default_samples() -> usize {
    1024
}

component! { DatasetKind, "nlp.random_tokens", RandomTokensConfig => build }

#[expect(clippy::unnecessary_wraps, reason = "the form of every factory")]
fn build(
    config: &RandomTokensConfig,
    context: DatasetContext<'_>,
) -> Result<Box<dyn DataModule>, BuildError> {
    Ok(Box::new(RandomTokens { config: config.clone(), seed: context.seed, tokens: Arc::default() }))
}

#[derive(Debug)]
struct RandomTokens {
    config: RandomTokensConfig,
    seed: u64,
    tokens: Arc<Vec<i64>>,
}

impl DataModule for RandomTokens {
    fn setup(&mut self) -> Result<()> {
        let RandomTokensConfig { vocab_size, block_size, samples, val_samples } = self.config;
        let mut draws = Address::root(self.seed).named("random_tokens").draws();
        let count = (samples + val_samples) * (block_size.get() + 1);
        self.tokens = Arc::new((0..count).map(|_| draws.below(u64::from(vocab_size)) as i64).collect());
        Ok(())
    }

    fn spec(&self) -> DataSpec {
        spec(self.config.block_size.get(), Some(i64::from(self.config.vocab_size)), None)
    }

    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>> {
        let RandomTokensConfig { block_size, samples, val_samples, .. } = self.config;
        let (first, last) = match split {
            Split::Train => (0, samples),
            Split::Validation => (samples, samples + val_samples),
            Split::Test => return None,
        };
        let length = block_size.get();
        let starts: Vec<usize> = (first..last).map(|sample| sample * (length + 1)).collect();
        (!starts.is_empty()).then(|| {
            Arc::new(Blocks { tokens: self.tokens.clone(), starts, length, targets: true })
                as Arc<dyn Dataset>
        })
    }

    fn predict_dataset(&self, input: &Path) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)> {
        Err(Error::data(
            input,
            "cannot be read as random tokens: choose the dataset that the model was trained on",
        ))
    }
}

#[cfg(test)]
mod tests {
    use fulmen_registry::registry;
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_come_from_the_seed_and_targets_are_the_next_ones() {
        let open = |seed| {
            let settings = json!({"_target_": "nlp.random_tokens", "vocab_size": 5, "block_size": 40, "samples": 9, "val_samples": 2});
            let registry = registry().unwrap();
            let mut module =
                registry.build::<DatasetKind>(&settings, DatasetContext { registry, seed }).unwrap();
            module.setup().unwrap();
            module
        };
        let tensors = |seed| {
            let batch = open(seed).dataset(Split::Train).unwrap().batch(&[8, 3], Address::root(0)).unwrap();
            open(seed).spec().schema.unify(&batch.schema()).unwrap();
            (batch.get("tokens").unwrap().shallow_clone(), batch.get("target").unwrap().shallow_clone())
        };
        let (tokens, target) = tensors(1);
        assert_eq!(tokens.size(), [2, 40]);
        assert!(tokens.narrow(1, 1, 39).equal(&target.narrow(1, 0, 39)));
        assert_eq!((tokens.min().int64_value(&[]), tokens.max().int64_value(&[])), (0, 4));
        assert!(tokens.equal(&tensors(1).0) && !tokens.equal(&tensors(2).0));
        let module = open(1);
        assert_eq!(module.dataset(Split::Validation).unwrap().len(), 2);
        assert!(module.dataset(Split::Test).is_none());
    }
}
