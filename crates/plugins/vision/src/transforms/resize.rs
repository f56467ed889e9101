//! Another size.

use std::num::NonZeroUsize;

use fulmen_base::Result;
use fulmen_registry::component;
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::scaling::{Area, scale};
use super::{Interpolation, PixelTransform, Pixels, Transform, TransformKind};

/// Brings images to another size, as torchvision's `Resize` does.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeConfig {
    /// The shorter side in pixels, the longer in proportion; or height and width, to which images are stretched.
    pub size: Size,
    /// How a new pixel is made of old ones.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Whether a pixel of a smaller image is made of all that it covers, so that fine patterns do not alias.
    #[serde(default = "yes")]
    pub antialias: bool,
}

/// One side or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// One side, in pixels.
    Side(#[schemars(extend("minimum" = 1))] NonZeroUsize),
    /// Height and width, in pixels.
    Both([NonZeroUsize; 2]),
}

impl Size {
    /// Height and width, of a square where one side is given.
    pub(super) fn square(self) -> [usize; 2] {
        match self {
            Self::Side(side) => [side.get(); 2],
            Self::Both(both) => both.map(NonZeroUsize::get),
        }
    }
}

pub(super) const fn yes() -> bool {
    true
}

component! { TransformKind, "vision.resize", ResizeConfig => |config: &ResizeConfig, _: usize| {
    let ResizeConfig { size, interpolation, antialias } = *config;
    Ok(Transform::pixels(Resize { size, interpolation, antialias }))
} }

/// Another size.
#[derive(Debug, Clone, Copy)]
pub struct Resize {
    /// The shorter side, or both.
    pub size: Size,
    /// How a new pixel is made of old ones.
    pub interpolation: Interpolation,
    /// Whether a pixel of a smaller image is made of all that it covers.
    pub antialias: bool,
}

impl Resize {
    /// Height and width of an image of `height` and `width`, after.
    fn new_size(self, [height, width]: [usize; 2]) -> [usize; 2] {
        match self.size {
            Size::Both(both) => both.map(NonZeroUsize::get),
            Size::Side(side) => {
                let side = side.get();
                let long = (side * height.max(width) / height.min(width).max(1)).max(1);
                if width <= height { [long, side] } else { [side, long] }
            }
        }
    }
}

impl PixelTransform for Resize {
    fn apply(&self, image: &mut Pixels<'_>, _: &mut Draws) -> Result<()> {
        let old = image.shape.size();
        scale(image, Area::whole(old), self.new_size(old), self.interpolation, self.antialias)
    }

    fn size(&self, before: Option<[usize; 2]>) -> Option<[usize; 2]> {
        match self.size {
            Size::Both(_) => Some(self.size.square()),
            Size::Side(_) => before.map(|before| self.new_size(before)),
        }
    }

    fn is_sizing(&self) -> bool {
        true
    }
}
