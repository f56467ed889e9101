//! A part of an image brought to another size.
//!
//! The filters are Pillow's, by which torchvision resizes too: where an image becomes smaller, a pixel is a weighted mean of all that
//! it covers, so that fine patterns do not alias.

use std::cell::RefCell;

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use fulmen_base::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Pixels;

/// How a pixel of the new size is made of old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// The nearest.
    Nearest,
    /// Weights that fall in a line.
    #[default]
    Bilinear,
    /// The cubic of Keys 1981 with a = -0.5, as Pillow's.
    Bicubic,
}

impl Interpolation {
    const fn algorithm(self, antialias: bool) -> ResizeAlg {
        let filter = match self {
            Self::Nearest => return ResizeAlg::Nearest,
            Self::Bilinear => FilterType::Bilinear,
            Self::Bicubic => FilterType::CatmullRom,
        };
        if antialias { ResizeAlg::Convolution(filter) } else { ResizeAlg::Interpolation(filter) }
    }
}

/// A rectangle of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Area {
    /// All of an image.
    pub(crate) const fn whole([height, width]: [usize; 2]) -> Self {
        Self { top: 0, left: 0, height, width }
    }
}

thread_local! {
    /// Keeps its buffers from image to image.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Cuts `area` out of `image` and brings it to `size`, height and width.
///
/// # Errors
/// When the image has neither one nor three channels, or `area` is not within it.
pub(crate) fn scale(
    image: &mut Pixels<'_>,
    area: Area,
    size: [usize; 2],
    interpolation: Interpolation,
    antialias: bool,
) -> Result<()> {
    let shape = image.shape.with_size(size);
    if image.shape == shape && area == Area::whole(size) {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| {
        let [height, width] = image.shape.size();
        let channels = image.shape.channels;
        let message = format!(
            "an image of {height}x{width} pixels and {channels} channels cannot be resized to {}x{}: {error}",
            size[0], size[1]
        );
        Error::config("dataset", message)
    };
    let pixel = match image.shape.channels {
        1 => PixelType::U8,
        3 => PixelType::U8x3,
        _ => return Err(failed(&"1 or 3 channels are known")),
    };
    let [width, height] = [image.shape.width, image.shape.height].map(|side| side as u32);
    let old = ImageRef::new(width, height, &image.data, pixel).map_err(|error| failed(&error))?;
    // Cut first: what lies outside of the area has no weight, as when Pillow resizes what it has cropped.
    let [left, top, width, height] = [area.left, area.top, area.width, area.height].map(|side| side as u32);
    let part = CroppedImage::new(&old, left, top, width, height).map_err(|error| failed(&error))?;
    let mut new = Image::new(size[1] as u32, size[0] as u32, pixel);
    let options = ResizeOptions::new().resize_alg(interpolation.algorithm(antialias)).use_alpha(false);
    RESIZER
        .with_borrow_mut(|resizer| resizer.resize(&part, &mut new, &options))
        .map_err(|error| failed(&error))?;
    *image = Pixels { shape, data: new.into_vec().into() };
    Ok(())
}
