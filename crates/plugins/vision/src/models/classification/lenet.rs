//! LeNet-5.

use fulmen_base::{Batch, Mode, ModelContext, ModelKind, Network, Result, Tensors};
use fulmen_contracts::{Schema, schema};
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::models::input;
use crate::models::layers::{Conv2d, Linear};

/// LeNet-5 of LeCun et al. 1998 (doi:10.1109/5.726791) as it is used today, with ReLU and max pooling. Built for the image
/// size of the dataset, 12×12 and up; images below 32×32 are padded by 2 pixels, as the paper does to those of 28×28.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeNetConfig {
    /// Channels of the images. Left out or null: as the dataset has them.
    #[serde(default)]
    pub in_channels: Option<i64>,
    /// Classes to tell apart. Left out or null: as many as the dataset has.
    #[serde(default)]
    pub num_classes: Option<i64>,
}

component! { ModelKind, "vision.lenet", LeNetConfig => LeNet::build }

/// LeNet-5.
#[derive(Debug)]
pub struct LeNet {
    /// Channels, height, width.
    image: [i64; 3],
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl LeNet {
    fn build(config: &LeNetConfig, context: ModelContext<'_>) -> Result<Box<dyn Network>, BuildError> {
        let channels = input::channels(config.in_channels, context.data)?;
        let (height, width) = input::height_and_width("vision.lenet", context.data)?;
        let num_classes = input::num_classes(config.num_classes, context.data)?;
        if height.min(width) < 12 {
            let message = format!(
                "vision.lenet needs images of at least 12×12 pixels, these have {height}×{width}: use vision.convnet, or larger images"
            );
            return Err(BuildError::setting("", message));
        }
        let padding = if height.min(width) < 32 { 2 } else { 0 };
        // Two convolutions of 5×5, each followed by a pooling of 2×2.
        let left = |side: i64| ((side + 2 * padding - 4) / 2 - 4) / 2;
        let path = context.path;
        Ok(Box::new(Self {
            image: [channels, height, width],
            conv1: Conv2d::new(&(path / "conv1"), (channels, 6), 5, padding),
            conv2: Conv2d::new(&(path / "conv2"), (6, 16), 5, 0),
            fc1: Linear::new(&(path / "fc1"), 16 * left(height) * left(width), 120),
            fc2: Linear::new(&(path / "fc2"), 120, 84),
            fc3: Linear::new(&(path / "fc3"), 84, num_classes),
        }))
    }
}

impl Network for LeNet {
    fn inputs(&self) -> Schema {
        let [channels, height, width] = self.image;
        schema! { image: f32["B", channels, height, width] }
    }

    fn outputs(&self) -> Schema {
        input::logits_schema()
    }

    fn forward(&self, batch: &Batch, _: Mode) -> Result<Tensors> {
        let pooled = |mut x: Tensor| x.relu_().max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        let x = pooled(self.conv1.forward(batch.get("image")?)?);
        let x = pooled(self.conv2.forward(&x)?).flatten(1, -1);
        let x = self.fc2.forward(&self.fc1.forward(&x).relu_()).relu_();
        Ok(Tensors::new().with("logits", self.fc3.forward(&x)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::models::testing::{build, check_classifier, data};

    #[test]
    fn it_works_on_the_images_of_mnist_and_of_cifar_with_the_weights_of_the_tutorial() {
        for (channels, side) in [(1, 28), (3, 32)] {
            let variables = check_classifier(&json!({"_target_": "vision.lenet"}), channels, side, side);
            let shape = |name: &str| variables.iter().find(|(known, _)| known == name).unwrap().1.size();
            assert_eq!(shape("conv1.weight"), [6, channels, 5, 5]);
            assert_eq!(shape("fc1.weight"), [120, 400]);
        }
        check_classifier(&json!({"_target_": "vision.lenet"}), 1, 12, 40);
    }

    #[test]
    fn images_that_are_too_small_are_refused_with_the_way_out() {
        let message = build(&json!({"_target_": "vision.lenet"}), &data(1, 8, 8)).unwrap_err().to_string();
        assert!(message.contains("8×8") && message.contains("vision.convnet"), "{message}");
    }
}
