//! The user's own images, in one folder a class.

mod layout;
mod source;

use std::path::PathBuf;
use std::sync::Arc;

use fulmen_base::{DataModule, DatasetContext, DatasetKind, PreparedCache, Result};
use fulmen_registry::{BuildError, Component, component};
use schemars::JsonSchema;
use serde::Deserialize;

use super::classification::ImageClassificationData;
use super::image_file::Fit;
use super::image_set::{ImageSet, OpenImages};
use super::pipeline::Pipeline;
use crate::transforms::{ImageShape, Normalize, TransformKind};
use source::ImageFiles;

/// Your own images, JPEG or PNG, in one folder a class, as torchvision's `ImageFolder` has them: `root/train/cat/1.jpg`, with
/// `val` (or `validation`, `valid`) and `test` beside `train` where there are such; or `root/cat/1.jpg`, which is then split.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageFolderConfig {
    /// The folder.
    pub root: PathBuf,
    /// Side of the square to which images are brought, in pixels: the shorter side is scaled to it, the longer cut around its
    /// centre. Where `augmentations` or `transforms` bring images to a size (`vision.random_resized_crop`, `vision.resize`,
    /// `vision.center_crop`), they are given them as large as the files have them.
    #[serde(default = "default_image_size")]
    #[schemars(range(min = 1))]
    pub image_size: usize,
    /// Height and width to which images are stretched instead, in pixels.
    #[serde(default)]
    pub resize: Option<[usize; 2]>,
    /// Colour or grey.
    #[serde(default)]
    pub channels: Channels,
    /// Images held out for validation where there is no folder `val`: below 1 a share, else a number.
    #[serde(default = "default_share")]
    #[schemars(range(min = 0.0))]
    pub val_split: f64,
    /// Images held out for the test where `root` has no folder `train`: below 1 a share, else a number.
    #[serde(default = "default_share")]
    #[schemars(range(min = 0.0))]
    pub test_split: f64,
    /// Decides which images are held out; the run's seed does not, so that runs compare.
    #[serde(default)]
    pub split_seed: u64,
    /// What is done to each image. Left out or null: normalised by the mean and deviation of ImageNet, as pretrained weights expect.
    /// Those that bring images to a size are for evaluation alone where `augmentations` do that for training.
    #[serde(default)]
    pub transforms: Option<Vec<Component<TransformKind>>>,
    /// What is done to training images before.
    #[serde(default)]
    pub augmentations: Vec<Component<TransformKind>>,
    /// Largest size of all images together, decoded, that is held in memory, in MiB. A larger set is decoded anew
    /// each epoch, as are images that are taken as large as they are. What fits is also kept in the cache of prepared data, where
    /// later runs find it decoded.
    #[serde(default = "default_cache_mb")]
    pub cache_mb: usize,
}

/// Colour or grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Three channels: red, green, blue.
    #[default]
    Rgb,
    /// One channel.
    Grey,
}

const fn default_image_size() -> usize {
    64
}

const fn default_share() -> f64 {
    0.1
}

const fn default_cache_mb() -> usize {
    1024
}

component! { DatasetKind, "vision.image_folder", ImageFolderConfig => build }

fn build(config: &ImageFolderConfig, context: DatasetContext<'_>) -> Result<Box<dyn DataModule>, BuildError> {
    let ([height, width], fit) = match config.resize {
        Some(size) => (size, Fit::Stretch),
        None => ([config.image_size; 2], Fit::Cover),
    };
    if height == 0 || width == 0 {
        let key = if config.resize.is_some() { "resize" } else { "image_size" };
        return Err(BuildError::setting(key, "0 is out of range: an image needs at least one pixel"));
    }
    let (channels, own) = match config.channels {
        // The numbers of torchvision's pretrained models; the grey ones are their means.
        Channels::Rgb => (3, Normalize::new(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225], 3)?),
        Channels::Grey => (1, Normalize::new(&[0.449], &[0.226], 1)?),
    };
    let shape = ImageShape { channels, height, width };
    let (transforms, augmentations) = (config.transforms.as_deref(), config.augmentations.as_slice());
    let pipeline = Pipeline::for_files(shape, own, transforms, augmentations, context.registry)?;
    let originals = pipeline.trains_on_originals();
    let set = ImageFolder { config: config.clone(), shape, fit, originals, cache: None };
    Ok(ImageClassificationData::boxed(set, pipeline, fit))
}

#[derive(Debug)]
struct ImageFolder {
    config: ImageFolderConfig,
    shape: ImageShape,
    fit: Fit,
    /// Whether training takes images as large as they are.
    originals: bool,
    /// Where the decoded images are kept for later runs.
    cache: Option<Arc<dyn PreparedCache>>,
}

impl ImageSet for ImageFolder {
    fn use_cache(&mut self, cache: Arc<dyn PreparedCache>) {
        self.cache = Some(cache);
    }

    fn open(&mut self) -> Result<OpenImages> {
        let found = layout::read(&self.config)?;
        let cache_mb = self.config.cache_mb;
        let files = ImageFiles::new(found.files, self.shape, self.fit, cache_mb, self.originals);
        let source = files.open(self.cache.as_deref())?;
        Ok(OpenImages {
            source: Arc::new(source),
            labels: Arc::new(found.labels),
            splits: found.splits,
            num_classes: found.classes.len() as i64,
            class_names: Some(found.classes),
        })
    }
}

#[cfg(test)]
mod tests;
