//! The transforms of one use, training or evaluation, in the order in which they are done.

use std::sync::Arc;

use fulmen_base::{Error, Result};
use fulmen_registry::BuildError;
use fulmen_utils::Address;

use crate::datasets::image_set::ImageSource;
use crate::transforms::{Image, ImageShape, ImageTransform, Normalize, PixelTransform, Transform};

/// The transforms of one use.
#[derive(Debug)]
pub(super) struct Chain {
    /// Whether images are taken as large as they are.
    pub(super) originals: bool,
    /// Of the images that come out.
    pub(super) shape: ImageShape,
    pixels: Vec<Arc<dyn PixelTransform>>,
    /// Done together with the conversion to numbers.
    normalize: Normalize,
    values: Vec<Arc<dyn ImageTransform>>,
}

impl Chain {
    /// Transforms with their places in the config, `key[0]`, `key[1]` …
    pub(super) fn placed<'a>(
        key: &'static str,
        transforms: &'a [Transform],
    ) -> impl Iterator<Item = (String, Transform)> + use<'a> {
        transforms
            .iter()
            .enumerate()
            .map(move |(index, transform)| (format!("{key}[{index}]"), transform.clone()))
    }

    /// `fitted` is the shape of images at the one size that the set is read at, `original` the size of images as they are, where
    /// they all have one.
    ///
    /// # Errors
    /// When a transform on bytes follows one on numbers, or images come out at sizes of their own.
    pub(super) fn new(
        transforms: Vec<(String, Transform)>,
        fitted: ImageShape,
        original: Option<[usize; 2]>,
    ) -> Result<Self, BuildError> {
        let originals = transforms.iter().any(|(_, transform)| transform.is_sizing());
        let mut size = if originals { original } else { Some(fitted.size()) };
        let mut last_key = String::new();
        let (mut pixels, mut normalize) = (Vec::new(), None);
        let mut values: Vec<Arc<dyn ImageTransform>> = Vec::new();
        for (key, transform) in transforms {
            match transform {
                Transform::Pixels(transform) if normalize.is_none() && values.is_empty() => {
                    size = transform.size(size);
                    pixels.push(transform);
                    last_key = key;
                }
                Transform::Pixels(_) => {
                    let message = "works on bytes, and what comes before has made numbers of them: list it before vision.normalize and the like";
                    return Err(BuildError::setting(key, message));
                }
                Transform::Normalize(first) if normalize.is_none() && values.is_empty() => {
                    normalize = Some(first);
                }
                Transform::Normalize(another) => values.push(Arc::new(another)),
                Transform::Values(transform) => values.push(transform),
            }
        }
        let Some(size) = size else {
            let message = "leaves images at sizes of their own, which no batch can hold: end with vision.center_crop, or give height and width";
            return Err(BuildError::setting(last_key, message));
        };
        // From 0 to 1 where nothing normalises.
        let normalize = match normalize {
            Some(normalize) => normalize,
            None => Normalize::new(&[0.0], &[1.0], fitted.channels)?,
        };
        Ok(Self { originals, shape: fitted.with_size(size), pixels, normalize, values })
    }

    /// Image `index` of `source` into `values`, `[C, H, W]`. What is random is drawn at `address`.
    pub(super) fn fill(
        &self,
        source: &dyn ImageSource,
        index: usize,
        address: Address,
        values: &mut [f32],
    ) -> Result<()> {
        let mut image = if self.originals { source.original(index)? } else { source.pixels(index)? };
        let mut draws = address.draws();
        for transform in &self.pixels {
            transform.apply(&mut image, &mut draws)?;
        }
        if image.shape != self.shape {
            let [found, expected] = [image.shape, self.shape]
                .map(|ImageShape { channels, height, width }| format!("{channels}x{height}x{width}"));
            let message = format!("an image came out of its transforms as {found}, expected {expected}");
            return Err(Error::config("dataset", message));
        }
        self.normalize.convert(&image.data, values);
        if !self.values.is_empty() {
            let mut image = Image { shape: self.shape, data: values.to_vec() };
            for transform in &self.values {
                transform.apply(&mut image, &mut draws);
            }
            values.copy_from_slice(&image.data);
        }
        Ok(())
    }
}
