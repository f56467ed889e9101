//! Where images come from: what one data set has to say for itself.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use fulmen_base::{PreparedCache, Progress, Result};

use crate::transforms::{ImageShape, Pixels};

/// Images by index.
pub(crate) trait ImageSource: Debug + Send + Sync {
    /// Image `index` at the one size that the set is read at.
    fn pixels(&self, index: usize) -> Result<Pixels<'_>>;

    /// Image `index` as large as it is.
    fn original(&self, index: usize) -> Result<Pixels<'_>> {
        self.pixels(index)
    }

    /// The file of image `index`, where it has one of its own.
    fn file(&self, index: usize) -> Option<&Path> {
        let _ = index;
        None
    }
}

/// Images that are held in memory.
#[derive(Debug)]
pub(crate) struct ImagesInMemory {
    shape: ImageShape,
    pixels: Vec<u8>,
}

impl ImagesInMemory {
    /// `pixels` of one image after the other, each as [`Pixels`] has them.
    pub(crate) const fn new(shape: ImageShape, pixels: Vec<u8>) -> Self {
        Self { shape, pixels }
    }
}

impl ImageSource for ImagesInMemory {
    fn pixels(&self, index: usize) -> Result<Pixels<'_>> {
        let size = self.shape.len();
        let data = self.pixels[index * size..(index + 1) * size].into();
        Ok(Pixels { shape: self.shape, data })
    }
}

/// Which images of a source belong to which part of the data.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Splits {
    pub(crate) train: Vec<usize>,
    pub(crate) validation: Vec<usize>,
    pub(crate) test: Vec<usize>,
}

/// A set that is open.
#[derive(Debug)]
pub(crate) struct OpenImages {
    pub(crate) source: Arc<dyn ImageSource>,
    /// The class of each image of the source.
    pub(crate) labels: Arc<Vec<i64>>,
    pub(crate) splits: Splits,
    pub(crate) num_classes: i64,
    pub(crate) class_names: Option<Vec<String>>,
}

/// A data set, as far as it differs from others.
pub(crate) trait ImageSet: Debug + Send {
    /// Fetches what is not on this machine yet.
    fn prepare(&mut self, progress: &Progress<'_>) -> Result<()> {
        let _ = progress;
        Ok(())
    }

    /// Is handed the cache of prepared data, before it is opened.
    fn use_cache(&mut self, cache: Arc<dyn PreparedCache>) {
        let _ = cache;
    }

    /// Reads, checks and splits it.
    fn open(&mut self) -> Result<OpenImages>;
}
