//! Mean 0 and deviation 1 per channel.

use fulmen_registry::{BuildError, component};
use fulmen_utils::address::Draws;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Image, ImageTransform, Transform, TransformKind};

/// Takes a mean from each channel and divides it by a standard deviation. Values are 0 to 1 before.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NormalizeConfig {
    /// Mean of each channel; one number serves all channels.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, above 0; one number serves all channels.
    pub std: Vec<f32>,
}

component! { TransformKind, "vision.normalize", NormalizeConfig => |config: &NormalizeConfig, channels: usize| {
    Normalize::new(&config.mean, &config.std, channels).map(Transform::Normalize)
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

impl Normalize {
    /// Bytes, `[H, W, C]` from 0 to 255, to numbers, `[C, H, W]`: from 0 to 1, then normalised. One multiplication and one addition a
    /// value: nothing to wait for beside a training step.
    pub(crate) fn convert(&self, bytes: &[u8], values: &mut [f32]) {
        let factors = |(mean, std): &(f32, f32)| (1.0 / (255.0 * std), -mean / std);
        let number = |byte: u8, (scale, shift): (f32, f32)| f32::from(byte) * scale + shift;
        match self.channels.as_slice() {
            // Loops that compilers make vector instructions of; three channels at once load each byte once.
            [grey] => {
                let grey = factors(grey);
                values.iter_mut().zip(bytes).for_each(|(value, &byte)| *value = number(byte, grey));
            }
            [red, green, blue] => {
                let [red, green, blue] = [red, green, blue].map(factors);
                let (reds, others) = values.split_at_mut(values.len() / 3);
                let (greens, blues) = others.split_at_mut(others.len() / 2);
                let pixels = bytes.as_chunks::<3>().0.iter().zip(reds).zip(greens).zip(blues);
                for (((pixel, r), g), b) in pixels {
                    *r = number(pixel[0], red);
                    *g = number(pixel[1], green);
                    *b = number(pixel[2], blue);
                }
            }
            channels => {
                let plane = (bytes.len() / channels.len().max(1)).max(1);
                for (index, (channel, plane)) in
                    channels.iter().zip(values.chunks_exact_mut(plane)).enumerate()
                {
                    let bytes = bytes.iter().skip(index).step_by(channels.len());
                    let channel = factors(channel);
                    plane.iter_mut().zip(bytes).for_each(|(value, &byte)| *value = number(byte, channel));
                }
            }
        }
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
    use super::super::ImageShape;
    use super::super::testing::applied;
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 2, height: 1, width: 2 };

    #[test]
    fn each_channel_has_its_own_mean_and_deviation() {
        let settings = r#"{"_target_": "vision.normalize", "mean": [1.0, 2.0], "std": [2.0, 4.0]}"#;
        assert_eq!(applied(settings, SHAPE, 0).unwrap(), [-0.5, 0.0, 0.0, 0.25]);
    }

    #[test]
    fn bytes_are_converted_as_they_would_be_one_by_one() {
        for channels in 1..=4 {
            let mean: Vec<f32> = (1..=channels).map(|channel| 0.1 * channel as f32).collect();
            let normalize = Normalize::new(&mean, &[0.5], channels).unwrap();
            let bytes: Vec<u8> = (0..channels * 10).map(|value| (value * 6) as u8).collect();
            let mut values = vec![0.0; bytes.len()];
            normalize.convert(&bytes, &mut values);
            for (index, value) in values.iter().enumerate() {
                let (channel, pixel) = (index / 10, index % 10);
                let expected = (f32::from(bytes[pixel * channels + channel]) / 255.0 - mean[channel]) / 0.5;
                assert!((value - expected).abs() < 1e-6, "{channels} channels: {value} is not {expected}");
            }
        }
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
