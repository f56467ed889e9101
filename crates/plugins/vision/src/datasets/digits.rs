//! The handwritten digits of UCI, 8×8 pixels, which come with this crate: `assets/digits/SOURCE.txt` says from where.

use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use fulmen_base::{DataModule, DatasetContext, DatasetKind, Error, Result};
use fulmen_registry::{BuildError, Component, component};
use schemars::JsonSchema;
use serde::Deserialize;

use super::classification::ImageClassificationData;
use super::image_file::Fit;
use super::image_set::{ImageSet, ImagesInMemory, OpenImages};
use super::pipeline::Pipeline;
use super::split;
use crate::transforms::{ImageShape, Normalize, TransformKind};

/// Handwritten digits of UCI (Alpaydin and Kaynak 1998, doi:10.24432/C50P49), shipped with Fulmen: 1,797 grey images of 8×8 pixels.
/// The split is always the same, whatever the run's seed: 1,257 for training, 180 for validation, 360 for the test.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DigitsConfig {
    /// What is done to each image. Left out or null: normalised by the set's own mean and deviation.
    #[serde(default)]
    pub transforms: Option<Vec<Component<TransformKind>>>,
    /// What is done to training images before.
    #[serde(default)]
    pub augmentations: Vec<Component<TransformKind>>,
}

component! { DatasetKind, "vision.digits", DigitsConfig => build }

const SHAPE: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };
/// 64 pixels of 0 to 16 and the label, a byte each, image after image.
const FILE: &[u8] = include_bytes!("../../assets/digits/digits.gz");

fn build(config: &DigitsConfig, context: DatasetContext<'_>) -> Result<Box<dyn DataModule>, BuildError> {
    let own = Normalize::new(&[0.3053], &[0.3761], 1)?;
    let pipeline =
        Pipeline::build(SHAPE, own, config.transforms.as_deref(), &config.augmentations, context.registry)?;
    Ok(ImageClassificationData::boxed(Digits, pipeline, Fit::Cover))
}

#[derive(Debug)]
struct Digits;

impl ImageSet for Digits {
    fn open(&mut self) -> Result<OpenImages> {
        let mut bytes = Vec::new();
        GzDecoder::new(FILE).read_to_end(&mut bytes).map_err(|error| {
            Error::config("dataset", format!("the digits of this program are damaged: {error}"))
        })?;
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for sample in bytes.chunks_exact(SHAPE.len() + 1) {
            // 16 is white; a file's white, for predictions, is 255.
            pixels.extend(sample[..SHAPE.len()].iter().map(|&value| (u16::from(value) * 255 / 16) as u8));
            labels.push(i64::from(sample[SHAPE.len()]));
        }
        let splits = split::stratified(&labels, 180, 360, 0);
        Ok(OpenImages {
            source: Arc::new(ImagesInMemory::new(SHAPE, pixels)),
            labels: Arc::new(labels),
            splits,
            num_classes: 10,
            class_names: Some((0..10).map(|digit| digit.to_string()).collect()),
        })
    }
}

#[cfg(test)]
mod tests {
    use fulmen_base::Split;
    use fulmen_torch::tch::Kind;
    use fulmen_utils::Address;
    use serde_json::json;

    use crate::datasets::testing::module;

    #[test]
    fn the_split_is_always_the_same_and_holds_every_digit_in_its_share() {
        let sizes = |seed| {
            let mut digits = module(&json!({"_target_": "vision.digits"}), seed).unwrap();
            digits.setup().unwrap();
            [Split::Train, Split::Validation, Split::Test].map(|split| {
                let dataset = digits.dataset(split).unwrap();
                let all: Vec<usize> = (0..dataset.len()).collect();
                let batch = dataset.batch(&all, Address::root(0)).unwrap();
                let labels: Vec<i64> = Vec::try_from(batch.get("label").unwrap()).unwrap();
                let count = |digit| labels.iter().filter(|&&label| label == digit).count();
                assert!(
                    (0..10).all(|digit| (all.len() / 12..all.len() / 8).contains(&count(digit))),
                    "{labels:?}"
                );
                (all.len(), labels)
            })
        };
        assert_eq!(sizes(0).map(|(size, _)| size), [1257, 180, 360]);
        assert_eq!(sizes(0), sizes(1));
    }

    #[test]
    fn training_images_are_normalised_and_the_spec_is_met() {
        let mut digits = module(&json!({"_target_": "vision.digits"}), 0).unwrap();
        digits.setup().unwrap();
        let dataset = digits.dataset(Split::Train).unwrap();
        let all: Vec<usize> = (0..dataset.len()).collect();
        let batch = dataset.batch(&all, Address::root(0)).unwrap();
        digits.spec().schema.unify(&batch.schema()).unwrap();
        let image = batch.get("image").unwrap();
        assert!(image.mean(Kind::Float).double_value(&[]).abs() < 0.02);
        assert!((image.std(true).double_value(&[]) - 1.0).abs() < 0.02);
        assert_eq!(digits.spec().num_classes, Some(10));
    }
}
