//! A small convolutional network: quick on a CPU, for images of 4×4 pixels and up.

use fulmen_base::{Batch, Mode, ModelContext, ModelKind, Network, Result, Tensors};
use fulmen_contracts::Schema;
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use fulmen_torch::tch::nn::Path;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::models::input;
use crate::models::layers::{BatchNorm2d, Conv2d, Linear};

/// Small convolutional network: per entry of `channels` a 3×3 convolution, batch norm, ReLU and 2×2 max pooling (while
/// the image is large enough), then the average over what is left of height and width, dropout and a linear layer. For images of
/// 4×4 pixels and up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvNetConfig {
    /// Channels of the images. Left out or null: as the dataset has them.
    #[serde(default)]
    pub in_channels: Option<i64>,
    /// Classes to tell apart. Left out or null: as many as the dataset has.
    #[serde(default)]
    pub num_classes: Option<i64>,
    /// Channels of each convolution, one after the other.
    #[serde(default = "default_channels")]
    pub channels: Vec<i64>,
    /// What the last layer looks at: the average over height and width, or every value, for images of one size alone.
    #[serde(default)]
    pub pooling: Pooling,
    /// Share of the features that is dropped in training, before the last layer.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}

/// What the last layer of a [`ConvNetConfig`] looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The average over height and width.
    #[default]
    Average,
    /// Every value.
    None,
}

fn default_channels() -> Vec<i64> {
    vec![32, 64, 128]
}

component! { ModelKind, "vision.convnet", ConvNetConfig => ConvNet::build }

/// A small convolutional network.
#[derive(Debug)]
pub struct ConvNet {
    in_channels: i64,
    blocks: Vec<(Conv2d, BatchNorm2d)>,
    head: Linear,
    pooling: Pooling,
    dropout: f64,
}

impl ConvNet {
    fn build(config: &ConvNetConfig, context: ModelContext<'_>) -> Result<Box<dyn Network>, BuildError> {
        let in_channels = input::channels(config.in_channels, context.data)?;
        let num_classes = input::num_classes(config.num_classes, context.data)?;
        let path: &Path<'_> = context.path;
        let mut channels = in_channels;
        let mut blocks = Vec::new();
        for (index, &next) in config.channels.iter().enumerate() {
            input::positive(&format!("channels[{index}]"), next)?;
            let block = path / "blocks" / index as i64;
            blocks.push((
                Conv2d::before_norm(&(&block / "conv"), (channels, next), 3, 1, 1),
                BatchNorm2d::new(&(&block / "bn"), next),
            ));
            channels = next;
        }
        let features = match config.pooling {
            Pooling::Average => channels,
            Pooling::None => {
                let (mut height, mut width) = input::height_and_width("vision.convnet", context.data)?;
                for _ in &config.channels {
                    if height.min(width) >= 4 {
                        (height, width) = (height / 2, width / 2);
                    }
                }
                channels * height * width
            }
        };
        let head = Linear::new(&(path / "head"), features, num_classes);
        Ok(Box::new(Self { in_channels, blocks, head, pooling: config.pooling, dropout: config.dropout }))
    }
}

impl Network for ConvNet {
    fn inputs(&self) -> Schema {
        input::image_schema(self.in_channels)
    }

    fn outputs(&self) -> Schema {
        input::logits_schema()
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensors> {
        let mut x = batch.get("image")?.shallow_clone();
        for (conv, norm) in &self.blocks {
            x = norm.forward(&conv.forward(&x)?, mode).relu_();
            // A side of 4 or more leaves 2 or more to average over.
            if smaller_side(&x) >= 4 {
                x = x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
            }
        }
        let features = match self.pooling {
            Pooling::Average => x.mean_dim([2, 3].as_slice(), false, x.kind()),
            Pooling::None => x.flatten(1, -1),
        };
        let features = features.dropout(self.dropout, mode.is_train());
        Ok(Tensors::new().with("logits", self.head.forward(&features)))
    }
}

fn smaller_side(x: &Tensor) -> i64 {
    let size = x.size();
    size[2].min(size[3])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::models::testing::{build, check_classifier, data, names};

    #[test]
    fn without_pooling_it_looks_at_every_value_of_images_of_one_size() {
        for (channels, height, width) in [(1, 28, 28), (3, 9, 6)] {
            check_classifier(
                &json!({"_target_": "vision.convnet", "pooling": "none"}),
                channels,
                height,
                width,
            );
        }
    }

    #[test]
    fn it_takes_any_image_of_4_by_4_and_up() {
        for (channels, height, width) in [(1, 8, 8), (3, 32, 32), (3, 4, 4), (1, 5, 37)] {
            check_classifier(&json!({"_target_": "vision.convnet", "dropout": 0.1}), channels, height, width);
        }
    }

    #[test]
    fn its_parameters_have_the_names_that_weights_files_carry() {
        let variables = check_classifier(&json!({"_target_": "vision.convnet", "channels": [4]}), 3, 8, 8);
        let expected = [
            ("blocks.0.bn.bias", vec![4]),
            ("blocks.0.bn.num_batches_tracked", vec![]),
            ("blocks.0.bn.running_mean", vec![4]),
            ("blocks.0.bn.running_var", vec![4]),
            ("blocks.0.bn.weight", vec![4]),
            ("blocks.0.conv.weight", vec![4, 3, 3, 3]),
            ("head.bias", vec![10]),
            ("head.weight", vec![10, 4]),
        ];
        assert_eq!(names(&variables), expected);
    }

    #[test]
    fn what_neither_settings_nor_data_say_is_asked_for() {
        let mut unknown = data(1, 8, 8);
        unknown.num_classes = None;
        let error = build(&json!({"_target_": "vision.convnet"}), &unknown).unwrap_err();
        assert_eq!(error.key_below("model"), "model.num_classes");
        let error =
            build(&json!({"_target_": "vision.convnet", "channels": [8, 0]}), &data(1, 8, 8)).unwrap_err();
        assert_eq!(error.key_below("model"), "model.channels[1]");
    }
}
