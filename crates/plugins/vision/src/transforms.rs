//! The kind `transform`: changes of a single image, of the same shape before and after.

mod normalize;
mod random_crop;
mod random_horizontal_flip;
mod random_rotation;

use std::fmt::Debug;

use fulmen_registry::{BuildError, Component, Kind, Registry};
use fulmen_utils::address::Draws;

pub use normalize::{Normalize, NormalizeConfig};
pub use random_crop::{RandomCrop, RandomCropConfig};
pub use random_horizontal_flip::{RandomHorizontalFlip, RandomHorizontalFlipConfig};
pub use random_rotation::{RandomRotation, RandomRotationConfig};

/// Size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
}

impl ImageShape {
    /// Values of an image.
    pub const fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether an image has no values.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Pixels of one channel.
    pub const fn plane(self) -> usize {
        self.height * self.width
    }
}

/// An image as numbers: `[C, H, W] f32`, from 0 to 1 until it is normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Its size.
    pub shape: ImageShape,
    /// Its values, channel by channel, row by row.
    pub data: Vec<f32>,
}

/// Changes an image.
pub trait ImageTransform: Debug + Send + Sync {
    /// Changes `image`, which keeps its shape. Whatever is random is drawn from `draws`, which belong to this image alone.
    fn apply(&self, image: &mut Image, draws: &mut Draws);
}

/// The kind `transform`.
#[derive(Debug)]
pub struct TransformKind;

impl Kind for TransformKind {
    const NAME: &'static str = "transform";
    type Product = Box<dyn ImageTransform>;
    /// The shape of the images that it will be given.
    type Context<'context> = ImageShape;
}

/// Builds the transforms of the field `key`.
pub(crate) fn build_all(
    key: &str,
    components: &[Component<TransformKind>],
    registry: &Registry,
    shape: ImageShape,
) -> Result<Vec<Box<dyn ImageTransform>>, BuildError> {
    let build = |(index, component): (usize, &Component<TransformKind>)| {
        component.build(registry, shape).map_err(|error| {
            BuildError::setting(error.key_below(&format!("{key}[{index}]")), error.to_string())
        })
    };
    components.iter().enumerate().map(build).collect()
}

#[cfg(test)]
mod testing {
    use fulmen_registry::{BuildError, registry};
    use fulmen_utils::Address;

    use super::{Image, ImageShape, TransformKind};

    /// The image whose values are 0, 1, 2 …, through the transform that `settings` describe, drawn at `seed`.
    pub(super) fn applied(settings: &str, shape: ImageShape, seed: u64) -> Result<Vec<f32>, BuildError> {
        let settings = serde_json::from_str(settings).unwrap();
        let transform = registry().unwrap().build::<TransformKind>(&settings, shape)?;
        let mut image = Image { shape, data: (0..shape.len()).map(|value| value as f32).collect() };
        transform.apply(&mut image, &mut Address::root(seed).draws());
        assert_eq!(image.data.len(), shape.len());
        Ok(image.data)
    }
}
