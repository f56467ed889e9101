//! The user's own files, read as a data set's images are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_base::{Dataset, Error, Result};

use super::image_file::{self, EXTENSIONS, Fit};
use super::image_set::ImageSource;
use super::pipeline::{ImageDataset, Pipeline};
use crate::transforms::{ImageShape, Pixels};

/// An image, or all images of a folder in the order of their names, for predictions.
pub(crate) fn predict_files(
    input: &Path,
    pipeline: &Arc<Pipeline>,
    fit: Fit,
) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)> {
    let files = if input.is_dir() {
        image_file::images_below(input)?
    } else if !input.exists() {
        return Err(Error::data(input, "there is no such file or folder"));
    } else if image_file::is_image(input) {
        vec![input.to_path_buf()]
    } else {
        return Err(Error::data(input, format!("is no image by its name: expected {EXTENSIONS}")));
    };
    if files.is_empty() {
        return Err(Error::data(input, format!("holds no image: expected files named {EXTENSIONS}")));
    }
    for file in &files {
        image_file::check(file)?;
    }
    let source = FilesToPredict { files: files.clone(), shape: pipeline.fitted, fit };
    let dataset = ImageDataset {
        source: Arc::new(source),
        labels: None,
        samples: (0..files.len()).collect(),
        pipeline: pipeline.clone(),
        augment: false,
    };
    Ok((Arc::new(dataset), files))
}

#[derive(Debug)]
struct FilesToPredict {
    files: Vec<PathBuf>,
    shape: ImageShape,
    fit: Fit,
}

impl ImageSource for FilesToPredict {
    fn pixels(&self, index: usize) -> Result<Pixels<'_>> {
        image_file::read(&self.files[index], self.shape, self.fit)
    }

    fn original(&self, index: usize) -> Result<Pixels<'_>> {
        image_file::decode(&self.files[index], self.shape.channels)
    }

    fn file(&self, index: usize) -> Option<&Path> {
        Some(&self.files[index])
    }
}
