//! Random series: for benchmarks, and to try a pipeline out.

use std::f64::consts::TAU;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_base::{Batch, DataModule, DataSpec, Dataset, DatasetContext, DatasetKind, Error, Result, Split};
use fulmen_registry::{BuildError, component};
use fulmen_utils::Address;
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rows::{gather, spec};

/// Random series with random targets, of mean 0 and deviation 1, made once in memory: for benchmarks, and to try a pipeline
/// out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomSeriesConfig {
    /// Steps of a sample.
    #[serde(default = "default_length")]
    #[schemars(extend("minimum" = 1))]
    pub length: NonZeroUsize,
    /// Values of a step.
    #[serde(default = "seven")]
    #[schemars(extend("minimum" = 1))]
    pub channels: NonZeroUsize,
    /// Numbers to forecast.
    #[serde(default = "seven")]
    #[schemars(extend("minimum" = 1))]
    pub outputs: NonZeroUsize,
    /// Samples to learn from.
    #[serde(default = "default_samples")]
    pub samples: usize,
    /// Samples for validation.
    #[serde(default)]
    pub val_samples: usize,
}

fn default_length() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(95)
}

fn seven() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(6)
}

const fn default_samples() -> usize {
    1024
}

component! { DatasetKind, "timeseries.random", RandomSeriesConfig => build }

#[expect(clippy::unnecessary_wraps, reason = "the form of every factory")]
fn build(
    config: &RandomSeriesConfig,
    context: DatasetContext<'_>,
) -> Result<Box<dyn DataModule>, BuildError> {
    let parts = [None, None];
    Ok(Box::new(RandomSeries { config: config.clone(), seed: context.seed, parts }))
}

#[derive(Debug)]
struct RandomSeries {
    config: RandomSeriesConfig,
    seed: u64,
    /// For training, for validation.
    parts: [Option<Arc<Samples>>; 2],
}

#[derive(Debug)]
struct Samples {
    /// `[samples, T, C]`.
    series: Vec<f32>,
    /// `[samples, O]`.
    targets: Vec<f32>,
    shape: [usize; 2],
    outputs: usize,
}

impl Dataset for Samples {
    fn len(&self) -> usize {
        self.targets.len() / self.outputs
    }

    fn batch(&self, indices: &[usize], _: Address) -> Result<Batch> {
        let size = self.shape[0] * self.shape[1];
        let series = gather(&self.series, indices.iter().map(|index| index * size), &self.shape)?;
        let target =
            gather(&self.targets, indices.iter().map(|index| index * self.outputs), &[self.outputs])?;
        Ok(Batch::new().with("series", series).with("target", target))
    }
}

impl DataModule for RandomSeries {
    fn setup(&mut self) -> Result<()> {
        let RandomSeriesConfig { length, channels, outputs, samples, val_samples } = self.config;
        let shape = [length.get(), channels.get()];
        let address = Address::root(self.seed).named("random_series");
        let make = |(samples, part): (usize, u64)| {
            let mut draws = address.at(part).draws();
            (samples > 0).then(|| {
                Arc::new(Samples {
                    series: normal(&mut draws, samples * shape[0] * shape[1]),
                    targets: normal(&mut draws, samples * outputs.get()),
                    shape,
                    outputs: outputs.get(),
                })
            })
        };
        self.parts = [(samples, 0), (val_samples, 1)].map(make);
        Ok(())
    }

    fn spec(&self) -> DataSpec {
        let RandomSeriesConfig { length, channels, outputs, .. } = self.config;
        spec(length.get(), channels.get(), outputs.get())
    }

    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>> {
        let part = match split {
            Split::Train => &self.parts[0],
            Split::Validation => &self.parts[1],
            Split::Test => &None,
        };
        part.clone().map(|samples| samples as Arc<dyn Dataset>)
    }

    fn predict_dataset(&self, input: &Path) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)> {
        Err(Error::data(
            input,
            "cannot be read as random series: choose the dataset that the model was trained on",
        ))
    }
}

/// `count` draws from the standard normal distribution (Box and Muller 1958).
fn normal(draws: &mut Draws, count: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // 1 − u lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - draws.uniform()).ln()).sqrt();
        let (sin, cos) = (TAU * draws.uniform()).sin_cos();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use fulmen_registry::registry;
    use fulmen_torch::tch::Kind;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_standard_normal_and_come_from_the_seed() {
        let open = |seed| {
            let settings = json!({"_target_": "timeseries.random", "length": 5, "channels": 3, "outputs": 2, "samples": 400, "val_samples": 4});
            let registry = registry().unwrap();
            let mut module =
                registry.build::<DatasetKind>(&settings, DatasetContext { registry, seed }).unwrap();
            module.setup().unwrap();
            module
        };
        let batch = |seed, split, indices: &[usize]| {
            let module = open(seed);
            let batch = module.dataset(split).unwrap().batch(indices, Address::root(0)).unwrap();
            module.spec().schema.unify(&batch.schema()).unwrap();
            batch
        };
        let all: Vec<usize> = (0..400).collect();
        let whole = batch(1, Split::Train, &all);
        let series = whole.get("series").unwrap();
        assert_eq!(series.size(), [400, 5, 3]);
        assert!(series.mean(Kind::Float).double_value(&[]).abs() < 0.05);
        assert!((series.std(true).double_value(&[]) - 1.0).abs() < 0.05);
        let some = batch(1, Split::Train, &[7, 2]);
        assert!(some.get("series").unwrap().get(0).equal(&series.get(7)));
        assert!(some.get("target").unwrap().get(1).equal(&whole.get("target").unwrap().get(2)));
        let first = |seed, split| batch(seed, split, &[0]).get("series").unwrap().shallow_clone();
        assert!(!first(2, Split::Train).equal(&first(1, Split::Train)));
        assert!(!first(1, Split::Validation).equal(&first(1, Split::Train)));
        assert!(open(1).dataset(Split::Test).is_none());
    }
}
