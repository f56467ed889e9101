//! Left becomes right, at random.

use fulmen_base::Result;
use fulmen_registry::component;
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{PixelTransform, Pixels, Transform, TransformKind};

/// Mirrors an image left to right with a given probability.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomHorizontalFlipConfig {
    /// Probability of a flip.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

const fn half() -> f64 {
    0.5
}

component! { TransformKind, "vision.random_horizontal_flip", RandomHorizontalFlipConfig => |config: &RandomHorizontalFlipConfig, _: usize| {
    Ok(Transform::pixels(RandomHorizontalFlip { p: config.p }))
} }

/// Left becomes right, at random.
#[derive(Debug, Clone)]
pub struct RandomHorizontalFlip {
    /// Probability of a flip.
    pub p: f64,
}

impl PixelTransform for RandomHorizontalFlip {
    fn apply(&self, image: &mut Pixels<'_>, draws: &mut Draws) -> Result<()> {
        if draws.uniform() >= self.p {
            return Ok(());
        }
        let channels = image.shape.channels;
        for row in image.data.to_mut().chunks_exact_mut(image.shape.width * channels) {
            if channels == 3 {
                row.as_chunks_mut::<3>().0.reverse();
            } else {
                // Reversed byte by byte, then each pixel back.
                row.reverse();
                row.chunks_exact_mut(channels).for_each(<[u8]>::reverse);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ImageShape;
    use super::super::testing::applied;

    #[test]
    fn a_flip_mirrors_each_row_and_happens_as_often_as_asked() {
        let shape = ImageShape { channels: 1, height: 2, width: 3 };
        let flipped = [2.0, 1.0, 0.0, 5.0, 4.0, 3.0];
        let with = |p: f64, seed| {
            applied(&format!(r#"{{"_target_": "vision.random_horizontal_flip", "p": {p}}}"#), shape, seed)
                .unwrap()
        };
        assert_eq!(with(1.0, 0), flipped);
        assert_eq!(with(0.0, 0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let flips = (0..1000).filter(|&seed| with(0.3, seed) == flipped).count();
        assert!((200..400).contains(&flips), "{flips}");
    }

    #[test]
    fn the_channels_of_a_pixel_stay_in_their_order() {
        for channels in 2..=4 {
            let shape = ImageShape { channels, height: 1, width: 3 };
            let settings = r#"{"_target_": "vision.random_horizontal_flip", "p": 1.0}"#;
            let expected: Vec<f32> =
                (0..channels * 3).map(|index| (index / 3 * 3 + 2 - index % 3) as f32).collect();
            assert_eq!(applied(settings, shape, 0).unwrap(), expected);
        }
    }
}
