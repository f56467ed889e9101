//! From an image's bytes to the numbers of a batch: augment, transform, normalise.

use std::sync::Arc;

use fulmen_base::{Batch, Dataset, Result};
use fulmen_registry::{BuildError, Component, Registry};
use fulmen_torch::tch::Tensor;
use fulmen_utils::Address;

use super::image_set::ImageSource;
use crate::transforms::{Image, ImageShape, ImageTransform, Normalize, TransformKind, build_all};

/// What is done to each image on its way into a batch.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) shape: ImageShape,
    /// In training alone, on values from 0 to 1.
    augmentations: Vec<Box<dyn ImageTransform>>,
    transforms: Transforms,
}

/// What follows the augmentations.
#[derive(Debug)]
enum Transforms {
    /// The set's own normalisation, by far the commonest case.
    Own(Normalize),
    /// What the config lists.
    Listed(Vec<Box<dyn ImageTransform>>),
}

impl Pipeline {
    /// `own` is the set's own normalisation, for where the config lists no transforms.
    pub(crate) fn build(
        shape: ImageShape,
        own: Normalize,
        transforms: Option<&[Component<TransformKind>]>,
        augmentations: &[Component<TransformKind>],
        registry: &Registry,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            shape,
            augmentations: build_all("augmentations", augmentations, registry, shape)?,
            transforms: match transforms {
                Some(listed) => Transforms::Listed(build_all("transforms", listed, registry, shape)?),
                None => Transforms::Own(own),
            },
        })
    }

    /// One image, from `pixels` to `values`. What is random is drawn at `address`.
    fn fill(&self, pixels: &[u8], augment: bool, address: Address, values: &mut [f32]) {
        let augmentations = if augment { self.augmentations.as_slice() } else { &[] };
        match &self.transforms {
            Transforms::Own(normalize) if augmentations.is_empty() => {
                self.normalized(normalize, pixels, values)
            }
            transforms => {
                let data = pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect();
                let mut image = Image { shape: self.shape, data };
                let mut draws = address.draws();
                for transform in augmentations {
                    transform.apply(&mut image, &mut draws);
                }
                match transforms {
                    Transforms::Own(normalize) => normalize.apply(&mut image, &mut draws),
                    Transforms::Listed(listed) => {
                        listed.iter().for_each(|transform| transform.apply(&mut image, &mut draws));
                    }
                }
                values.copy_from_slice(&image.data);
            }
        }
    }

    /// One multiplication and one addition a value: nothing to wait for beside a training step.
    fn normalized(&self, normalize: &Normalize, pixels: &[u8], values: &mut [f32]) {
        let plane = self.shape.plane();
        let planes = pixels.chunks_exact(plane).zip(values.chunks_exact_mut(plane));
        for ((pixels, values), (mean, std)) in planes.zip(&normalize.channels) {
            let (scale, shift) = (1.0 / (255.0 * std), -mean / std);
            for (value, &byte) in values.iter_mut().zip(pixels) {
                *value = f32::from(byte) * scale + shift;
            }
        }
    }
}

/// Some images of a source, in the numbers of a batch.
#[derive(Debug)]
pub(crate) struct ImageDataset {
    pub(crate) source: Arc<dyn ImageSource>,
    /// The class of each image of the source; none where they are to be found.
    pub(crate) labels: Option<Arc<Vec<i64>>>,
    /// Which images of the source.
    pub(crate) samples: Vec<usize>,
    pub(crate) pipeline: Arc<Pipeline>,
    /// Whether for training.
    pub(crate) augment: bool,
}

impl Dataset for ImageDataset {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn batch(&self, indices: &[usize], address: Address) -> Result<Batch> {
        let shape = self.pipeline.shape;
        let mut values = vec![0.0_f32; indices.len() * shape.len()];
        for (&index, values) in indices.iter().zip(values.chunks_exact_mut(shape.len())) {
            let pixels = self.source.pixels(self.samples[index])?;
            self.pipeline.fill(&pixels, self.augment, address.at(index as u64), values);
        }
        let size = [indices.len(), shape.channels, shape.height, shape.width].map(|size| size as i64);
        let batch = Batch::new().with("image", Tensor::f_from_slice(&values)?.f_view(size)?);
        Ok(match &self.labels {
            Some(labels) => {
                let labels: Vec<i64> = indices.iter().map(|&index| labels[self.samples[index]]).collect();
                batch.with("label", Tensor::f_from_slice(&labels)?)
            }
            None => batch,
        })
    }
}

#[cfg(test)]
mod tests {
    use fulmen_registry::registry;
    use serde_json::{Value, json};

    use super::*;
    use crate::datasets::image_set::ImagesInMemory;

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 1, width: 3 };

    fn dataset(transforms: Option<Value>, augmentations: Value) -> ImageDataset {
        let list = |value| serde_json::from_value::<Vec<Component<TransformKind>>>(value).unwrap();
        let own = Normalize::new(&[0.5], &[0.5], 1).unwrap();
        let pipeline = Pipeline::build(
            SHAPE,
            own,
            transforms.map(list).as_deref(),
            &list(augmentations),
            registry().unwrap(),
        );
        ImageDataset {
            source: Arc::new(ImagesInMemory::new(SHAPE, vec![0, 51, 255, 255, 255, 0])),
            labels: Some(Arc::new(vec![7, 8])),
            samples: vec![1, 0],
            pipeline: Arc::new(pipeline.unwrap()),
            augment: true,
        }
    }

    fn first(dataset: &ImageDataset, index: usize, seed: u64) -> Vec<f32> {
        let batch = dataset.batch(&[index], Address::root(seed)).unwrap();
        Vec::try_from(batch.get("image").unwrap().view([-1])).unwrap()
    }

    fn close(values: &[f32], expected: &[f32]) -> bool {
        values.len() == expected.len() && values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    #[test]
    fn both_ways_into_a_batch_normalise_alike() {
        let flip = json!([{"_target_": "vision.random_horizontal_flip", "p": 0.0}]);
        let expected = [-1.0, -0.6, 1.0];
        assert!(close(&first(&dataset(None, json!([])), 1, 0), &expected));
        assert!(close(&first(&dataset(None, flip), 1, 0), &expected));
        assert!(close(&first(&dataset(Some(json!([])), json!([])), 1, 0), &[0.0, 0.2, 1.0]));
    }

    #[test]
    fn what_is_drawn_for_a_sample_depends_on_its_index_and_on_nothing_else() {
        let flip = json!([{"_target_": "vision.random_horizontal_flip"}]);
        let dataset = dataset(None, flip);
        let together = dataset.batch(&[0, 1], Address::root(3)).unwrap();
        let second: Vec<f32> = Vec::try_from(together.get("image").unwrap().get(1).view([-1])).unwrap();
        assert_eq!(second, first(&dataset, 1, 3));
        assert!((0..20).any(|seed| first(&dataset, 1, seed) != second));
        assert_eq!(together.schema().to_string(), "{image: f32[2, 1, 1, 3], label: i64[2]}");
        assert_eq!(Vec::<i64>::try_from(together.get("label").unwrap()).unwrap(), [8, 7]);
    }

    #[test]
    fn a_wrong_transform_is_named_by_its_place() {
        let list = serde_json::from_value::<Vec<Component<TransformKind>>>(
            json!([{"_target_": "vision.normalize", "mean": [0, 0], "std": [1]}]),
        );
        let own = Normalize::new(&[0.5], &[0.5], 1).unwrap();
        let error = Pipeline::build(SHAPE, own, None, &list.unwrap(), registry().unwrap()).unwrap_err();
        assert_eq!(error.key_below("dataset"), "dataset.augmentations[0].mean");
    }
}
