//! Random images: for benchmarks, and to try a pipeline out.

use std::sync::Arc;

use fulmen_base::{DataModule, DatasetContext, DatasetKind, Result};
use fulmen_registry::{BuildError, component};
use fulmen_utils::Address;
use schemars::JsonSchema;
use serde::Deserialize;

use super::classification::ImageClassificationData;
use super::image_file::Fit;
use super::image_set::{ImageSet, ImagesInMemory, OpenImages, Splits};
use super::pipeline::Pipeline;
use crate::transforms::{ImageShape, Normalize};

/// Random images with random labels, made once in memory: for benchmarks, and to try a pipeline out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomImagesConfig {
    /// Channels, height and width of an image.
    #[serde(default = "default_shape")]
    pub shape: [usize; 3],
    /// Classes that labels are drawn from.
    #[serde(default = "default_num_classes")]
    #[schemars(range(min = 1))]
    pub num_classes: u32,
    /// Images to learn from.
    #[serde(default = "default_samples")]
    pub samples: usize,
    /// Images for validation.
    #[serde(default)]
    pub val_samples: usize,
    /// Images for the test.
    #[serde(default)]
    pub test_samples: usize,
}

const fn default_shape() -> [usize; 3] {
    [3, 32, 32]
}

const fn default_num_classes() -> u32 {
    10
}

const fn default_samples() -> usize {
    1024
}

component! { DatasetKind, "vision.random", RandomImagesConfig => build }

fn build(
    config: &RandomImagesConfig,
    context: DatasetContext<'_>,
) -> Result<Box<dyn DataModule>, BuildError> {
    let [channels, height, width] = config.shape;
    let shape = ImageShape { channels, height, width };
    if shape.is_empty() {
        return Err(BuildError::setting("shape", "an image needs at least one channel and one pixel"));
    }
    // Bytes drawn uniformly have the mean ½ and the deviation 1/√12.
    let own = Normalize::new(&[0.5], &[0.288_675], channels)?;
    let pipeline = Pipeline::build(shape, own, None, &[], context.registry)?;
    let set = RandomImages { config: config.clone(), shape, seed: context.seed };
    Ok(ImageClassificationData::boxed(set, pipeline, Fit::Cover))
}

#[derive(Debug)]
struct RandomImages {
    config: RandomImagesConfig,
    shape: ImageShape,
    seed: u64,
}

impl ImageSet for RandomImages {
    fn open(&mut self) -> Result<OpenImages> {
        let RandomImagesConfig { num_classes, samples, val_samples, test_samples, .. } = self.config;
        let all = samples + val_samples + test_samples;
        let address = Address::root(self.seed).named("random_images");
        let mut draws = address.named("pixels").draws();
        let mut pixels = Vec::with_capacity(all * self.shape.len() + 8);
        while pixels.len() < all * self.shape.len() {
            pixels.extend(draws.next_u64().to_le_bytes());
        }
        let mut draws = address.named("labels").draws();
        let labels = (0..all).map(|_| draws.below(u64::from(num_classes)) as i64).collect();
        Ok(OpenImages {
            source: Arc::new(ImagesInMemory::new(self.shape, pixels)),
            labels: Arc::new(labels),
            splits: Splits {
                train: (0..samples).collect(),
                validation: (samples..samples + val_samples).collect(),
                test: (samples + val_samples..all).collect(),
            },
            num_classes: i64::from(num_classes),
            class_names: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use fulmen_base::Split;
    use fulmen_torch::tch::Kind;
    use fulmen_utils::Address;
    use serde_json::json;

    use crate::datasets::testing::module;

    #[test]
    fn images_have_mean_0_and_deviation_1_and_come_from_the_seed() {
        let images = |seed| {
            let settings =
                json!({"_target_": "vision.random", "shape": [2, 5, 7], "samples": 200, "test_samples": 3});
            let mut random = module(&settings, seed).unwrap();
            random.setup().unwrap();
            assert!(random.dataset(Split::Validation).is_none());
            assert_eq!(random.dataset(Split::Test).unwrap().len(), 3);
            let indices: Vec<usize> = (0..200).collect();
            let batch = random.dataset(Split::Train).unwrap().batch(&indices, Address::root(0)).unwrap();
            batch.get("image").unwrap().shallow_clone()
        };
        let drawn = images(1);
        assert_eq!(drawn.size(), [200, 2, 5, 7]);
        assert!(drawn.mean(Kind::Float).double_value(&[]).abs() < 0.05);
        assert!((drawn.std(true).double_value(&[]) - 1.0).abs() < 0.05);
        assert!(drawn.equal(&images(1)) && !drawn.equal(&images(2)));
    }
}
