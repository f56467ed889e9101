//! Random series: for benchmarks, and to try a pipeline out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_base::{Batch, DataModule, DataSpec, Dataset, DatasetContext, DatasetKind, Error, Result, Split};
use fulmen_contracts::schema;
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use fulmen_utils::Address;
use schemars::JsonSchema;
use serde::Deserialize;

/// Random series with random targets, made once in memory: for benchmarks, and to try a pipeline out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomSeriesConfig {
    /// Steps a sample.
    #[serde(default = "default_length")]
    #[schemars(range(min = 1))]
    pub length: usize,
    /// Series beside each other.
    #[serde(default = "default_channels")]
    #[schemars(range(min = 1))]
    pub channels: usize,
    /// Numbers to predict.
    #[serde(default = "default_channels")]
    #[schemars(range(min = 1))]
    pub outputs: usize,
    /// Samples to learn from.
    #[serde(default = "default_samples")]
    pub samples: usize,
    /// Samples for validation.
    #[serde(default)]
    pub val_samples: usize,
}

const fn default_length() -> usize {
    96
}

const fn default_channels() -> usize {
    7
}

const fn default_samples() -> usize {
    1024
}

component! { DatasetKind, "timeseries.random", RandomSeriesConfig => build }

fn build(
    config: &RandomSeriesConfig,
    context: DatasetContext<'_>,
) -> Result<Box<dyn DataModule>, BuildError> {
    for (key, value) in
        [("length", config.length), ("channels", config.channels), ("outputs", config.outputs)]
    {
        if value == 0 {
            return Err(BuildError::setting(key, "0 is out of range: it must be at least 1"));
        }
    }
    Ok(Box::new(RandomSeries { config: config.clone(), seed: context.seed, values: Arc::default() }))
}

#[derive(Debug)]
struct RandomSeries {
    config: RandomSeriesConfig,
    seed: u64,
    values: Arc<Vec<f32>>,
}

impl DataModule for RandomSeries {
    fn setup(&mut self) -> Result<()> {
        let RandomSeriesConfig { length, channels, outputs, samples, val_samples } = self.config;
        let mut draws = Address::root(self.seed).named("random_series").draws();
        let count = (samples + val_samples) * (length * channels + outputs);
        // Uniform within ±√3: mean 0, deviation 1.
        let draw = || ((draws.uniform() * 2.0 - 1.0) * 3.0_f64.sqrt()) as f32;
        self.values = Arc::new(std::iter::repeat_with(draw).take(count).collect());
        Ok(())
    }

    fn spec(&self) -> DataSpec {
        let [length, channels, outputs] =
            [self.config.length, self.config.channels, self.config.outputs].map(|size| size as i64);
        let schema = schema! { series: f32["B", length, channels], target: f32["B", outputs] };
        DataSpec { schema, num_classes: None, class_names: None }
    }

    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>> {
        let RandomSeriesConfig { samples, val_samples, .. } = self.config;
        let (first, count) = match split {
            Split::Train => (0, samples),
            Split::Validation => (samples, val_samples),
            Split::Test => (0, 0),
        };
        (count > 0).then(|| {
            let part = RandomPart { config: self.config.clone(), values: self.values.clone(), first, count };
            Arc::new(part) as Arc<dyn Dataset>
        })
    }

    fn predict_dataset(&self, input: &Path) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)> {
        Err(Error::data(
            input,
            "cannot be read as random series: choose the dataset that the model was trained on",
        ))
    }
}

/// Samples `first..first + count`: each its series, then its target.
#[derive(Debug)]
struct RandomPart {
    config: RandomSeriesConfig,
    values: Arc<Vec<f32>>,
    first: usize,
    count: usize,
}

impl Dataset for RandomPart {
    fn len(&self) -> usize {
        self.count
    }

    fn batch(&self, indices: &[usize], _: Address) -> Result<Batch> {
        let RandomSeriesConfig { length, channels, outputs, .. } = self.config;
        let series_len = length * channels;
        let (mut series, mut target) = (Vec::new(), Vec::new());
        for &index in indices {
            let start = (self.first + index) * (series_len + outputs);
            series.extend_from_slice(&self.values[start..start + series_len]);
            target.extend_from_slice(&self.values[start + series_len..start + series_len + outputs]);
        }
        let [batch, length, channels, outputs] =
            [indices.len(), length, channels, outputs].map(|size| size as i64);
        Ok(Batch::new()
            .with("series", Tensor::f_from_slice(&series)?.f_view([batch, length, channels])?)
            .with("target", Tensor::f_from_slice(&target)?.f_view([batch, outputs])?))
    }
}
