//! A window of the padded image, at random.

use fulmen_base::Result;
use fulmen_registry::component;
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{PixelTransform, Pixels, Transform, TransformKind};

/// Pads an image with black on all sides and cuts a window of its own size out at random: a shift in each direction.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomCropConfig {
    /// Pixels that are added on each side.
    #[serde(default = "four")]
    #[schemars(range(min = 0))]
    pub padding: usize,
}

const fn four() -> usize {
    4
}

component! { TransformKind, "vision.random_crop", RandomCropConfig => |config: &RandomCropConfig, _: usize| {
    Ok(Transform::pixels(RandomCrop { padding: config.padding }))
} }

/// A window of the padded image, at random.
#[derive(Debug, Clone)]
pub struct RandomCrop {
    /// Pixels that are added on each side.
    pub padding: usize,
}

impl PixelTransform for RandomCrop {
    fn apply(&self, image: &mut Pixels<'_>, draws: &mut Draws) -> Result<()> {
        let shape = image.shape;
        let mut shift = || draws.below(2 * self.padding as u64 + 1) as isize - self.padding as isize;
        let (down, right) = (shift(), shift());
        let mut data = vec![0; shape.len()];
        // Columns of the old row that are still seen, and where they come to stand.
        let (from, to) = (right.max(0) as usize * shape.channels, (-right).max(0) as usize * shape.channels);
        let seen = shape.width.saturating_sub(right.unsigned_abs()) * shape.channels;
        let row_length = shape.width * shape.channels;
        for (row, new) in data.chunks_exact_mut(row_length).enumerate() {
            let old = row.checked_add_signed(down).filter(|row| *row < shape.height);
            if let Some(old) = old.filter(|_| seen > 0) {
                let start = old * row_length + from;
                new[to..to + seen].copy_from_slice(&image.data[start..start + seen]);
            }
        }
        image.data = data.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ImageShape;
    use super::super::testing::applied;

    #[test]
    fn every_shift_within_the_padding_comes_and_the_rest_is_black() {
        let shape = ImageShape { channels: 1, height: 2, width: 2 };
        let seen: std::collections::BTreeSet<Vec<u32>> = (0..300)
            .map(|seed| applied(r#"{"_target_": "vision.random_crop", "padding": 1}"#, shape, seed).unwrap())
            .map(|data| data.into_iter().map(|value| value as u32).collect())
            .collect();
        // The image is 0 1 / 2 3.
        for expected in
            [[0, 1, 2, 3], [3, 0, 0, 0], [0, 0, 0, 0], [2, 3, 0, 0], [1, 0, 3, 0], [0, 0, 0, 2], [0, 0, 1, 0]]
        {
            assert!(seen.contains(expected.as_slice()), "{expected:?} is not among {seen:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_padding_of_any_image_keeps_the_shape(height in 1_usize..6, width in 1_usize..6, padding in 0_usize..9, seed: u64) {
            let shape = ImageShape { channels: 2, height, width };
            applied(&format!(r#"{{"_target_": "vision.random_crop", "padding": {padding}}}"#), shape, seed).unwrap();
        }
    }
}
