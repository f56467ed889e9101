//! The kind `transform`: changes of a single image.
//!
//! As in torchvision, an image is bytes first, of any size ([`PixelTransform`]), and numbers of one size after ([`ImageTransform`]). A
//! normalisation that is the first on numbers is done in one pass with the conversion.

mod center_crop;
mod image;
mod normalize;
mod random_crop;
mod random_horizontal_flip;
mod random_resized_crop;
mod random_rotation;
mod resize;
mod scaling;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod torchvision_tests;

use std::fmt::Debug;
use std::sync::Arc;

use fulmen_base::Result;
use fulmen_registry::{BuildError, Component, Kind, Registry};
use fulmen_utils::address::Draws;

pub use center_crop::{CenterCrop, CenterCropConfig};
pub use image::{Image, ImageShape, Pixels};
pub use normalize::{Normalize, NormalizeConfig};
pub use random_crop::{RandomCrop, RandomCropConfig};
pub use random_horizontal_flip::{RandomHorizontalFlip, RandomHorizontalFlipConfig};
pub use random_resized_crop::{RandomResizedCrop, RandomResizedCropConfig};
pub use random_rotation::{RandomRotation, RandomRotationConfig};
pub use resize::{Resize, ResizeConfig, Size};
pub use scaling::Interpolation;
pub(crate) use scaling::{Area, scale};

/// Changes an image while it is bytes.
pub trait PixelTransform: Debug + Send + Sync {
    /// Changes `image`. Whatever is random is drawn from `draws`, which belong to this image alone.
    ///
    /// # Errors
    /// When the image cannot be changed so.
    fn apply(&self, image: &mut Pixels<'_>, draws: &mut Draws) -> Result<()>;

    /// Height and width of an image after, given those before; none where they differ from image to image.
    fn size(&self, before: Option<[usize; 2]>) -> Option<[usize; 2]> {
        before
    }

    /// Whether it brings images to a size: it is then given them as large as they are.
    fn is_sizing(&self) -> bool {
        false
    }
}

/// Changes an image once it is numbers.
pub trait ImageTransform: Debug + Send + Sync {
    /// Changes `image`, which keeps its shape. Whatever is random is drawn from `draws`, which belong to this image alone.
    fn apply(&self, image: &mut Image, draws: &mut Draws);
}

/// What a component of the kind `transform` is.
#[derive(Debug, Clone)]
pub enum Transform {
    /// On bytes.
    Pixels(Arc<dyn PixelTransform>),
    /// On numbers.
    Values(Arc<dyn ImageTransform>),
    /// On numbers, and done together with the conversion to numbers where it comes first.
    Normalize(Normalize),
}

impl Transform {
    /// One on bytes.
    pub fn pixels(transform: impl PixelTransform + 'static) -> Self {
        Self::Pixels(Arc::new(transform))
    }

    /// One on numbers.
    pub fn values(transform: impl ImageTransform + 'static) -> Self {
        Self::Values(Arc::new(transform))
    }

    /// Whether it brings images to a size.
    pub fn is_sizing(&self) -> bool {
        matches!(self, Self::Pixels(transform) if transform.is_sizing())
    }
}

/// The kind `transform`.
#[derive(Debug)]
pub struct TransformKind;

impl Kind for TransformKind {
    const NAME: &'static str = "transform";
    type Product = Transform;
    /// The channels of the images that it will be given.
    type Context<'context> = usize;
}

/// Builds the transforms of the field `key`, for images of so many channels.
pub(crate) fn build_all(
    key: &str,
    components: &[Component<TransformKind>],
    registry: &Registry,
    channels: usize,
) -> Result<Vec<Transform>, BuildError> {
    let build = |(index, component): (usize, &Component<TransformKind>)| {
        component.build(registry, channels).map_err(|error| {
            BuildError::setting(error.key_below(&format!("{key}[{index}]")), error.to_string())
        })
    };
    components.iter().enumerate().map(build).collect()
}
