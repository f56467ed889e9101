//! A part of an image, at random, brought to one size.

use fulmen_base::Result;
use fulmen_registry::{BuildError, component};
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::resize::yes;
use super::scaling::{Area, scale};
use super::{Interpolation, PixelTransform, Pixels, Size, Transform, TransformKind};

/// Cuts a part of random area and shape out of images and brings it to one size, as torchvision's `RandomResizedCrop` does (Szegedy
/// et al. 2014, arXiv:1409.4842).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCropConfig {
    /// Side of the square in pixels, or height and width.
    pub size: Size,
    /// Smallest and largest share of the image's area.
    #[serde(default = "default_scale")]
    pub scale: [f64; 2],
    /// Smallest and largest width over height of the part.
    #[serde(default = "default_ratio")]
    pub ratio: [f64; 2],
    /// How a new pixel is made of old ones.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Whether a pixel of a smaller image is made of all that it covers, so that fine patterns do not alias.
    #[serde(default = "yes")]
    pub antialias: bool,
}

const fn default_scale() -> [f64; 2] {
    [0.08, 1.0]
}

const fn default_ratio() -> [f64; 2] {
    [0.75, 4.0 / 3.0]
}

component! { TransformKind, "vision.random_resized_crop", RandomResizedCropConfig => |config: &RandomResizedCropConfig, _: usize| {
    RandomResizedCrop::new(config).map(Transform::pixels)
} }

/// A part of an image, at random, brought to one size.
#[derive(Debug, Clone, Copy)]
pub struct RandomResizedCrop {
    size: [usize; 2],
    scale: [f64; 2],
    ratio: [f64; 2],
    interpolation: Interpolation,
    antialias: bool,
}

impl RandomResizedCrop {
    /// As the settings say.
    ///
    /// # Errors
    /// When a range is empty, or goes down to 0.
    pub fn new(config: &RandomResizedCropConfig) -> Result<Self, BuildError> {
        let RandomResizedCropConfig { size, scale, ratio, interpolation, antialias } = *config;
        for (key, [low, high]) in [("scale", scale), ("ratio", ratio)] {
            if !(low > 0.0 && low <= high && high.is_finite()) {
                let message =
                    format!("[{low}, {high}] is no range: expected two numbers above 0, the smaller first");
                return Err(BuildError::setting(key, message));
            }
        }
        Ok(Self { size: size.square(), scale, ratio, interpolation, antialias })
    }

    /// The part of an image of `height` and `width`: ten tries for one that is within it, then its middle.
    fn area(&self, [height, width]: [usize; 2], draws: &mut Draws) -> Area {
        let mut uniform = |[low, high]: [f64; 2]| low + (high - low) * draws.uniform();
        let [log_low, log_high] = self.ratio.map(f64::ln);
        let whole = (height * width) as f64;
        let side = |square: f64| square.sqrt().round_ties_even() as usize;
        for _ in 0..10 {
            let area = whole * uniform(self.scale);
            let ratio = uniform([log_low, log_high]).exp();
            let (part_width, part_height) = (side(area * ratio), side(area / ratio));
            if (1..=width).contains(&part_width) && (1..=height).contains(&part_height) {
                let top = draws.below((height - part_height) as u64 + 1) as usize;
                let left = draws.below((width - part_width) as u64 + 1) as usize;
                return Area { top, left, height: part_height, width: part_width };
            }
        }
        let ratio = width as f64 / height as f64;
        let [low, high] = self.ratio;
        let (part_height, part_width) = if ratio < low {
            ((width as f64 / low).round_ties_even() as usize, width)
        } else if ratio > high {
            (height, (height as f64 * high).round_ties_even() as usize)
        } else {
            (height, width)
        };
        let (part_height, part_width) = (part_height.clamp(1, height), part_width.clamp(1, width));
        Area {
            top: (height - part_height) / 2,
            left: (width - part_width) / 2,
            height: part_height,
            width: part_width,
        }
    }
}

impl PixelTransform for RandomResizedCrop {
    fn apply(&self, image: &mut Pixels<'_>, draws: &mut Draws) -> Result<()> {
        let area = self.area(image.shape.size(), draws);
        scale(image, area, self.size, self.interpolation, self.antialias)
    }

    fn size(&self, _: Option<[usize; 2]>) -> Option<[usize; 2]> {
        Some(self.size)
    }

    fn is_sizing(&self) -> bool {
        true
    }
}

#[cfg(test)]
pub(super) mod tests {
    use fulmen_utils::Address;

    use super::super::ImageShape;
    use super::super::testing::{applied, pixels};
    use super::*;

    /// Top, left, height and width of the part of an image that is drawn at `seed`, with torchvision's defaults.
    pub(in super::super) fn area(size: [usize; 2], seed: u64) -> [usize; 4] {
        let config = serde_json::from_str(r#"{"size": 224}"#).unwrap();
        let crop = RandomResizedCrop::new(&config).unwrap();
        let Area { top, left, height, width } = crop.area(size, &mut Address::root(seed).draws());
        [top, left, height, width]
    }

    #[test]
    fn any_image_comes_out_at_the_size_asked_for() {
        for (height, width) in [(1, 1), (1, 400), (400, 1), (33, 47)] {
            for channels in [1, 3] {
                let shape = ImageShape { channels, height, width };
                let settings = r#"{"_target_": "vision.random_resized_crop", "size": [5, 7]}"#;
                for seed in 0..20 {
                    let image = pixels(settings, shape, 0, seed);
                    assert_eq!((image.shape.size(), image.data.len()), ([5, 7], 35 * channels));
                }
            }
        }
    }

    #[test]
    fn the_whole_image_at_its_own_size_is_left_as_it_is() {
        let shape = ImageShape { channels: 3, height: 6, width: 6 };
        let settings =
            r#"{"_target_": "vision.random_resized_crop", "size": 6, "scale": [1, 1], "ratio": [1, 1]}"#;
        let values: Vec<f32> = (0..108).map(|value| value as f32).collect();
        assert_eq!(applied(settings, shape, 0).unwrap(), values);
    }

    #[test]
    fn a_range_that_is_none_is_refused() {
        let shape = ImageShape { channels: 3, height: 6, width: 6 };
        for (setting, key) in [("\"scale\": [0.5, 0.1]", "t.scale"), ("\"ratio\": [0, 1]", "t.ratio")] {
            let settings = format!(r#"{{"_target_": "vision.random_resized_crop", "size": 6, {setting}}}"#);
            assert_eq!(applied(&settings, shape, 0).unwrap_err().key_below("t"), key);
        }
    }
}
