//! A turn about the centre, at random.

use fulmen_registry::component;
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Image, ImageShape, ImageTransform, TransformKind};

/// Turns an image about its centre by a random angle, with bilinear interpolation; what comes from outside is black.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomRotationConfig {
    /// Largest angle in either direction, in degrees.
    #[schemars(range(min = 0.0, max = 180.0))]
    pub degrees: f64,
}

component! { TransformKind, "vision.random_rotation", RandomRotationConfig => |config: &RandomRotationConfig, _: ImageShape| {
    Ok(Box::new(RandomRotation { degrees: config.degrees }) as Box<dyn ImageTransform>)
} }

/// A turn about the centre, at random.
#[derive(Debug, Clone)]
pub struct RandomRotation {
    /// Largest angle in either direction, in degrees.
    pub degrees: f64,
}

impl ImageTransform for RandomRotation {
    fn apply(&self, image: &mut Image, draws: &mut Draws) {
        let angle = (draws.uniform() * 2.0 - 1.0) * self.degrees.to_radians();
        turn(image, angle as f32);
    }
}

/// Turns counter-clockwise by `angle` in radians: each new pixel looks up where it comes from.
fn turn(image: &mut Image, angle: f32) {
    let ImageShape { height, width, .. } = image.shape;
    let (sin, cos) = angle.sin_cos();
    let (centre_x, centre_y) = ((width as f32 - 1.0) / 2.0, (height as f32 - 1.0) / 2.0);
    let old = image.data.clone();
    for (old, new) in old.chunks_exact(height * width).zip(image.data.chunks_exact_mut(height * width)) {
        let at = |x: f32, y: f32| {
            let inside = x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32;
            if inside { old[y as usize * width + x as usize] } else { 0.0 }
        };
        for (index, value) in new.iter_mut().enumerate() {
            let (dx, dy) = ((index % width) as f32 - centre_x, (index / width) as f32 - centre_y);
            let (x, y) = (centre_x + cos * dx - sin * dy, centre_y + sin * dx + cos * dy);
            let (left, top) = (x.floor(), y.floor());
            let (right, bottom) = (x - left, y - top);
            *value = at(left, top) * (1.0 - right) * (1.0 - bottom)
                + at(left + 1.0, top) * right * (1.0 - bottom)
                + at(left, top + 1.0) * (1.0 - right) * bottom
                + at(left + 1.0, top + 1.0) * right * bottom;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::FRAC_PI_2;

    use super::super::testing::applied;
    use super::*;

    #[test]
    fn a_quarter_turns_rows_into_columns() {
        let shape = ImageShape { channels: 1, height: 2, width: 2 };
        let mut image = Image { shape, data: vec![0.0, 1.0, 2.0, 3.0] };
        turn(&mut image, FRAC_PI_2);
        // 0 1 / 2 3 counter-clockwise is 1 3 / 0 2.
        for (value, expected) in image.data.iter().zip([1.0, 3.0, 0.0, 2.0]) {
            assert!((value - expected).abs() < 1e-5, "{:?}", image.data);
        }
    }

    #[test]
    fn no_angle_is_no_change() {
        let shape = ImageShape { channels: 2, height: 3, width: 4 };
        let turned = applied(r#"{"_target_": "vision.random_rotation", "degrees": 0.0}"#, shape, 1).unwrap();
        assert!(turned.into_iter().eq((0..24).map(|value| value as f32)));
    }
}
