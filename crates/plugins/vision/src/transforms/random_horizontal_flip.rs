//! Left becomes right, at random.

use fulmen_registry::component;
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Image, ImageShape, ImageTransform, TransformKind};

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

component! { TransformKind, "vision.random_horizontal_flip", RandomHorizontalFlipConfig => |config: &RandomHorizontalFlipConfig, _: ImageShape| {
    Ok(Box::new(RandomHorizontalFlip { p: config.p }) as Box<dyn ImageTransform>)
} }

/// Left becomes right, at random.
#[derive(Debug, Clone)]
pub struct RandomHorizontalFlip {
    /// Probability of a flip.
    pub p: f64,
}

impl ImageTransform for RandomHorizontalFlip {
    fn apply(&self, image: &mut Image, draws: &mut Draws) {
        if draws.uniform() < self.p {
            for row in image.data.chunks_exact_mut(image.shape.width) {
                row.reverse();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::applied;
    use super::*;

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
}
