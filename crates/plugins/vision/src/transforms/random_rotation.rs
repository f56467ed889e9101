//! A turn about the centre, at random.

use fulmen_base::Result;
use fulmen_registry::component;
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ImageShape, PixelTransform, Pixels, Transform, TransformKind};

/// Turns an image about its centre by a random angle, with bilinear interpolation; what comes from outside is black.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomRotationConfig {
    /// Largest angle in either direction, in degrees.
    #[schemars(range(min = 0.0, max = 180.0))]
    pub degrees: f64,
}

component! { TransformKind, "vision.random_rotation", RandomRotationConfig => |config: &RandomRotationConfig, _: usize| {
    Ok(Transform::pixels(RandomRotation { degrees: config.degrees }))
} }

/// A turn about the centre, at random.
#[derive(Debug, Clone)]
pub struct RandomRotation {
    /// Largest angle in either direction, in degrees.
    pub degrees: f64,
}

impl PixelTransform for RandomRotation {
    fn apply(&self, image: &mut Pixels<'_>, draws: &mut Draws) -> Result<()> {
        let angle = (draws.uniform() * 2.0 - 1.0) * self.degrees.to_radians();
        turn(image, angle as f32);
        Ok(())
    }
}

/// Turns counter-clockwise by `angle` in radians: each new pixel looks up where it comes from.
fn turn(image: &mut Pixels<'_>, angle: f32) {
    let ImageShape { channels, height, width } = image.shape;
    let (sin, cos) = angle.sin_cos();
    let (centre_x, centre_y) = ((width as f32 - 1.0) / 2.0, (height as f32 - 1.0) / 2.0);
    let old = &image.data;
    let mut data = vec![0; image.shape.len()];
    for (index, pixel) in data.chunks_exact_mut(channels).enumerate() {
        let (dx, dy) = ((index % width) as f32 - centre_x, (index / width) as f32 - centre_y);
        let (x, y) = (centre_x + cos * dx - sin * dy, centre_y + sin * dx + cos * dy);
        let (left, top) = (x.floor(), y.floor());
        let (right, bottom) = (x - left, y - top);
        // The four old pixels around, with their weights; what is outside is black.
        let corners = [
            (left, top, (1.0 - right) * (1.0 - bottom)),
            (left + 1.0, top, right * (1.0 - bottom)),
            (left, top + 1.0, (1.0 - right) * bottom),
            (left + 1.0, top + 1.0, right * bottom),
        ];
        let inside = |x: f32, y: f32| x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32;
        for (channel, byte) in pixel.iter_mut().enumerate() {
            let sum: f32 = corners
                .iter()
                .filter(|(x, y, _)| inside(*x, *y))
                .map(|(x, y, weight)| {
                    f32::from(old[(*y as usize * width + *x as usize) * channels + channel]) * weight
                })
                .sum();
            *byte = (sum + 0.5) as u8;
        }
    }
    image.data = data.into();
}

#[cfg(test)]
mod tests {
    use std::f32::consts::FRAC_PI_2;

    use super::super::testing::applied;
    use super::*;

    #[test]
    fn a_quarter_turns_rows_into_columns() {
        let shape = ImageShape { channels: 1, height: 2, width: 2 };
        let mut image = Pixels { shape, data: vec![0, 100, 200, 30].into() };
        turn(&mut image, FRAC_PI_2);
        // 0 1 / 2 3 counter-clockwise is 1 3 / 0 2.
        assert_eq!(image.data.as_ref(), [100, 30, 0, 200]);
    }

    #[test]
    fn no_angle_is_no_change() {
        let shape = ImageShape { channels: 2, height: 3, width: 4 };
        let turned = applied(r#"{"_target_": "vision.random_rotation", "degrees": 0.0}"#, shape, 1).unwrap();
        assert!(turned.into_iter().eq((0..24).map(|value| value as f32)));
    }
}
