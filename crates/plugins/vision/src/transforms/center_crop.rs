//! The middle of an image.

use std::borrow::Cow;

use fulmen_base::Result;
use fulmen_registry::component;
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{PixelTransform, Pixels, Size, Transform, TransformKind};

/// Cuts the middle out of images, as torchvision's `CenterCrop` does; what a smaller image lacks is black.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CenterCropConfig {
    /// Side of the square in pixels, or height and width.
    pub size: Size,
}

component! { TransformKind, "vision.center_crop", CenterCropConfig => |config: &CenterCropConfig, _: usize| {
    Ok(Transform::pixels(CenterCrop { size: config.size.square() }))
} }

/// The middle of an image.
#[derive(Debug, Clone, Copy)]
pub struct CenterCrop {
    /// Height and width in pixels.
    pub size: [usize; 2],
}

/// Where the middle begins in the old row or column, where it begins in the new one, and how long it is.
fn middle(old: usize, new: usize) -> (usize, usize, usize) {
    if new > old {
        (0, (new - old) / 2, old)
    } else {
        // Python's rounding, to even.
        (((old - new) as f64 / 2.0).round_ties_even() as usize, 0, new)
    }
}

impl PixelTransform for CenterCrop {
    fn apply(&self, image: &mut Pixels<'_>, _: &mut Draws) -> Result<()> {
        let old = image.shape;
        let new = old.with_size(self.size);
        if old == new {
            return Ok(());
        }
        let (old_top, new_top, rows) = middle(old.height, new.height);
        let (old_left, new_left, columns) = middle(old.width, new.width);
        let mut data = vec![0; new.len()];
        for row in 0..rows {
            let from = ((old_top + row) * old.width + old_left) * old.channels;
            let to = ((new_top + row) * new.width + new_left) * old.channels;
            let length = columns * old.channels;
            data[to..to + length].copy_from_slice(&image.data[from..from + length]);
        }
        *image = Pixels { shape: new, data: Cow::Owned(data) };
        Ok(())
    }

    fn size(&self, _: Option<[usize; 2]>) -> Option<[usize; 2]> {
        Some(self.size)
    }

    fn is_sizing(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::ImageShape;
    use super::super::testing::pixels;

    #[test]
    fn a_smaller_image_stands_in_the_middle_of_black() {
        let shape = ImageShape { channels: 1, height: 1, width: 3 };
        let cropped = pixels(r#"{"_target_": "vision.center_crop", "size": [3, 1]}"#, shape, 1, 0);
        assert_eq!((cropped.shape.size(), cropped.data.as_ref()), ([3, 1], [0, 2, 0].as_slice()));
    }
}
