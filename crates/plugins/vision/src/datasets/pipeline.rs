//! From an image's bytes to the numbers of a batch: augment, transform, normalise.

mod chain;

use std::sync::Arc;

use fulmen_base::{Batch, Dataset, Result, loader};
use fulmen_registry::{BuildError, Component, Registry};
use fulmen_torch::buffers;
use fulmen_torch::tch::Tensor;
use fulmen_utils::Address;

use super::image_set::ImageSource;
use crate::transforms::{ImageShape, Normalize, Transform, TransformKind, build_all};
use chain::Chain;

/// What is done to each image on its way into a batch.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// Images at the one size that the set is read at.
    pub(crate) fitted: ImageShape,
    train: Chain,
    eval: Chain,
}

impl Pipeline {
    /// For a set whose images are all of one size. `own` is the set's own normalisation, for where the config lists no transforms.
    pub(crate) fn build(
        shape: ImageShape,
        own: Normalize,
        transforms: Option<&[Component<TransformKind>]>,
        augmentations: &[Component<TransformKind>],
        registry: &Registry,
    ) -> Result<Self, BuildError> {
        Self::new(shape, Some(shape.size()), own, transforms, augmentations, registry)
    }

    /// For files, which are brought to the size of `fitted` where no transform brings them to another.
    pub(crate) fn for_files(
        fitted: ImageShape,
        own: Normalize,
        transforms: Option<&[Component<TransformKind>]>,
        augmentations: &[Component<TransformKind>],
        registry: &Registry,
    ) -> Result<Self, BuildError> {
        Self::new(fitted, None, own, transforms, augmentations, registry)
    }

    /// `original` is the size of images as they are, where they all have one.
    fn new(
        fitted: ImageShape,
        original: Option<[usize; 2]>,
        own: Normalize,
        transforms: Option<&[Component<TransformKind>]>,
        augmentations: &[Component<TransformKind>],
        registry: &Registry,
    ) -> Result<Self, BuildError> {
        let augmentations = build_all("augmentations", augmentations, registry, fitted.channels)?;
        let transforms = match transforms {
            Some(listed) => build_all("transforms", listed, registry, fitted.channels)?,
            None => vec![Transform::Normalize(own)],
        };
        let eval: Vec<_> = Chain::placed("transforms", &transforms).collect();
        // What brings images to their size in evaluation is not done to those that augmentations have brought to theirs.
        let augmented = augmentations.iter().any(Transform::is_sizing);
        let rest = eval.iter().filter(|(_, transform)| !(augmented && transform.is_sizing())).cloned();
        let train = Chain::placed("augmentations", &augmentations).chain(rest).collect();
        let pipeline = Self {
            fitted,
            train: Chain::new(train, fitted, original)?,
            eval: Chain::new(eval, fitted, original)?,
        };
        let [train, eval] = [&pipeline.train, &pipeline.eval].map(|chain| chain.shape.size());
        if train != eval && !pipeline.eval.originals {
            let [train, eval] = [train, eval].map(|[height, width]| format!("{height}x{width}"));
            let instead = if original.is_none() { "set image_size alike, or " } else { "" };
            let message = format!(
                "training images come out at {train} pixels, those of evaluation at {eval}: {instead}begin transforms with vision.resize and vision.center_crop"
            );
            return Err(BuildError::setting("augmentations", message));
        }
        Ok(pipeline)
    }

    /// Height and width of images in a batch; none where training and evaluation differ.
    pub(crate) fn size(&self) -> Option<[usize; 2]> {
        (self.train.shape == self.eval.shape).then(|| self.train.shape.size())
    }

    /// Whether training takes images as large as they are.
    pub(crate) const fn trains_on_originals(&self) -> bool {
        self.train.originals
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
        let chain = if self.augment { &self.pipeline.train } else { &self.pipeline.eval };
        let shape = chain.shape;
        let size = [indices.len(), shape.channels, shape.height, shape.width].map(|size| size as i64);
        let images = buffers::filled(&size, |values| {
            for (&index, values) in indices.iter().zip(values.chunks_exact_mut(shape.len())) {
                loader::reading(index);
                chain.fill(self.source.as_ref(), self.samples[index], address.at(index as u64), values)?;
            }
            Ok::<_, fulmen_base::Error>(())
        })?;
        let batch = Batch::new().with("image", images);
        Ok(match &self.labels {
            Some(labels) => {
                let labels: Vec<i64> = indices.iter().map(|&index| labels[self.samples[index]]).collect();
                batch.with("label", Tensor::f_from_slice(&labels)?)
            }
            None => batch,
        })
    }

    fn label_of(&self, index: usize) -> Option<i64> {
        self.labels.as_ref().map(|labels| labels[self.samples[index]])
    }

    fn describe(&self, index: usize) -> String {
        match self.source.file(self.samples[index]) {
            Some(file) => file.display().to_string(),
            None => format!("sample {index}"),
        }
    }
}

#[cfg(test)]
mod tests;
