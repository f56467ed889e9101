//! Mean 0 and deviation 1 per channel.

use fulmen_registry::{BuildError, component};
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Image, ImageShape, ImageTransform, TransformKind};

/// Takes a mean from each channel and divides it by a standard deviation. Values are 0 to 1 before.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NormalizeConfig {
    /// Mean of each channel; one number serves all channels.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, above 0; one number serves all channels.
    pub std: Vec<f32>,
}

component! { TransformKind, "vision.normalize", NormalizeConfig => |config: &NormalizeConfig, shape: ImageShape| {
    Normalize::new(&config.mean, &config.std, shape.channels).map(|transform| Box::new(transform) as Box<dyn ImageTransform>)
} }

/// Mean 0 and deviation 1 per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalize {
    /// Mean and standard deviation of each channel.
    pub channels: Vec<(f32, f32)>,
}

impl Normalize {
    /// For images of so many channels.
    ///
    /// # Errors
    /// When there are neither one nor as many numbers as channels, or a deviation is not above 0.
    pub fn new(mean: &[f32], std: &[f32], channels: usize) -> Result<Self, BuildError> {
        if let Some(wrong) = std.iter().find(|value| !value.is_finite() || **value <= 0.0) {
            return Err(BuildError::setting(
                "std",
                format!("{wrong} is out of range: it must be more than 0"),
            ));
        }
        let (mean, std) = (per_channel("mean", mean, channels)?, per_channel("std", std, channels)?);
        Ok(Self { channels: mean.into_iter().zip(std).collect() })
    }
}

fn per_channel(key: &str, values: &[f32], channels: usize) -> Result<Vec<f32>, BuildError> {
    match values {
        [one] => Ok(vec![*one; channels]),
        all if all.len() == channels => Ok(all.to_vec()),
        all => Err(BuildError::setting(
            key,
            format!("{} numbers for images of {channels} channels: give one, or one a channel", all.len()),
        )),
    }
}

impl ImageTransform for Normalize {
    fn apply(&self, image: &mut Image, _: &mut Draws) {
        let plane = image.shape.plane();
        for (values, (mean, std)) in image.data.chunks_exact_mut(plane).zip(&self.channels) {
            for value in values {
                *value = (*value - mean) / std;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::applied;
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 2, height: 1, width: 2 };

    #[test]
    fn each_channel_has_its_own_mean_and_deviation() {
        let settings = r#"{"_target_": "vision.normalize", "mean": [1.0, 2.0], "std": [2.0, 4.0]}"#;
        assert_eq!(applied(settings, SHAPE, 0).unwrap(), [-0.5, 0.0, 0.0, 0.25]);
    }

    #[test]
    fn numbers_that_do_not_fit_the_channels_are_refused() {
        let error = |settings| applied(settings, SHAPE, 0).unwrap_err();
        let wrong = error(r#"{"_target_": "vision.normalize", "mean": [1, 2, 3], "std": [1]}"#);
        assert_eq!(
            (wrong.key_below("t").as_str(), wrong.to_string().contains("2 channels")),
            ("t.mean", true)
        );
        let wrong = error(r#"{"_target_": "vision.normalize", "mean": [1], "std": [0]}"#);
        assert_eq!(wrong.key_below("t"), "t.std");
    }
}
