//! Residual networks.

use fulmen_base::{Batch, Mode, ModelContext, ModelKind, Network, Result, Tensors};
use fulmen_contracts::Schema;
use fulmen_registry::{BuildError, component};
use fulmen_torch::tch::Tensor;
use fulmen_torch::tch::nn::Path;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::models::input;
use crate::models::layers::{BatchNorm2d, Conv2d, Linear};

/// Residual network of He et al. 2015 (arXiv:1512.03385), with torchvision's parameter names and initial values: its weights
/// load by name.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Layers that have weights: 18, 34, 50, 101 or 152.
    pub depth: Depth,
    /// Channels of the images. Left out or null: as the dataset has them.
    #[serde(default)]
    pub in_channels: Option<i64>,
    /// Classes to tell apart. Left out or null: as many as the dataset has.
    #[serde(default)]
    pub num_classes: Option<i64>,
    /// How an image enters.
    #[serde(default)]
    pub stem: Stem,
}

/// Layers that have weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Depth(#[schemars(extend("enum" = [18, 34, 50, 101, 152]))] u16);

impl<'de> Deserialize<'de> for Depth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let depth = u16::deserialize(deserializer)?;
        if blocks(depth).is_some() {
            Ok(Self(depth))
        } else {
            Err(serde::de::Error::custom(format!(
                "{depth} is no depth of a ResNet: expected 18, 34, 50, 101 or 152"
            )))
        }
    }
}

/// How an image enters a [`ResNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// A 7×7 convolution of stride 2, then 3×3 max pooling of stride 2: the paper's, for photographs, and the one that published
    /// weights have. An epoch of it is enough for 0.89 on Fashion-MNIST.
    #[default]
    Imagenet,
    /// A 3×3 convolution of stride 1 without pooling: sixteen times the work, and better on images of 32×32 pixels.
    Small,
}

component! { ModelKind, "vision.resnet", ResNetConfig => ResNet::build }

/// A residual network.
#[derive(Debug)]
pub struct ResNet {
    in_channels: i64,
    stem: Stem,
    conv1: Conv2d,
    bn1: BatchNorm2d,
    blocks: Vec<Block>,
    fc: Linear,
}

impl ResNet {
    fn build(config: &ResNetConfig, context: ModelContext<'_>) -> Result<Box<dyn Network>, BuildError> {
        let in_channels = input::channels(config.in_channels, context.data)?;
        let num_classes = input::num_classes(config.num_classes, context.data)?;
        let Depth(depth) = config.depth;
        let bottleneck = depth >= 50;
        let path: &Path<'_> = context.path;
        let conv1 = path / "conv1";
        let conv1 = match config.stem {
            Stem::Imagenet => Conv2d::before_norm(&conv1, (in_channels, 64), 7, 2, 3),
            Stem::Small => Conv2d::before_norm(&conv1, (in_channels, 64), 3, 1, 1),
        };
        let bn1 = BatchNorm2d::new(&(path / "bn1"), 64);
        let mut channels = 64;
        let mut layers = Vec::new();
        for (layer, &count) in blocks(depth).unwrap_or_default().iter().enumerate() {
            for index in 0..count {
                let stride = if layer > 0 && index == 0 { 2 } else { 1 };
                let path = path / format!("layer{}", layer + 1) / index;
                let block = Block::new(&path, channels, 64 << layer, stride, bottleneck);
                channels = block.channels;
                layers.push(block);
            }
        }
        let fc = Linear::new(&(path / "fc"), channels, num_classes);
        Ok(Box::new(Self { in_channels, stem: config.stem, conv1, bn1, blocks: layers, fc }))
    }
}

/// Blocks of each of the four layers (table 1 of the paper).
const fn blocks(depth: u16) -> Option<[i64; 4]> {
    Some(match depth {
        18 => [2, 2, 2, 2],
        34 | 50 => [3, 4, 6, 3],
        101 => [3, 4, 23, 3],
        152 => [3, 8, 36, 3],
        _ => return None,
    })
}

/// Convolutions with norms, and the way around them.
#[derive(Debug)]
struct Block {
    /// Two of 3×3, or in a bottleneck 1×1, 3×3, 1×1.
    convolutions: Vec<(Conv2d, BatchNorm2d)>,
    downsample: Option<(Conv2d, BatchNorm2d)>,
    /// That come out.
    channels: i64,
}

impl Block {
    fn new(path: &Path<'_>, inputs: i64, width: i64, stride: i64, bottleneck: bool) -> Self {
        let channels = if bottleneck { width * 4 } else { width };
        // Kernel, stride and channels of each. The stride of a bottleneck is on its 3×3, as in torchvision.
        let plan = if bottleneck {
            vec![(1, 1, width), (3, stride, width), (1, 1, channels)]
        } else {
            vec![(3, stride, width), (3, 1, channels)]
        };
        let mut from = inputs;
        let convolutions = plan
            .into_iter()
            .enumerate()
            .map(|(index, (kernel, stride, to))| {
                let conv = path / format!("conv{}", index + 1);
                let norm = path / format!("bn{}", index + 1);
                let conv = Conv2d::before_norm(&conv, (from, to), kernel, stride, kernel / 2);
                from = to;
                (conv, BatchNorm2d::new(&norm, to))
            })
            .collect();
        let downsample = (stride != 1 || inputs != channels).then(|| {
            let path = path / "downsample";
            (
                Conv2d::before_norm(&(&path / 0), (inputs, channels), 1, stride, 0),
                BatchNorm2d::new(&(&path / 1), channels),
            )
        });
        Self { convolutions, downsample, channels }
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let around = match &self.downsample {
            Some((conv, norm)) => norm.forward(&conv.forward(x)?, mode),
            None => x.shallow_clone(),
        };
        let mut y = x.shallow_clone();
        let last = self.convolutions.len() - 1;
        for (index, (conv, norm)) in self.convolutions.iter().enumerate() {
            y = norm.forward(&conv.forward(&y)?, mode);
            if index < last {
                y = y.relu_();
            }
        }
        // In place: neither sum nor ReLU needs what was there for its gradient.
        Ok(y.g_add_(&around).relu_())
    }
}

impl Network for ResNet {
    fn inputs(&self) -> Schema {
        input::image_schema(self.in_channels)
    }

    fn outputs(&self) -> Schema {
        input::logits_schema()
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensors> {
        let mut x = self.bn1.forward(&self.conv1.forward(batch.get("image")?)?, mode).relu_();
        if self.stem == Stem::Imagenet {
            x = x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        }
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        let features = x.mean_dim([2, 3].as_slice(), false, x.kind());
        Ok(Tensors::new().with("logits", self.fc.forward(&features)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::models::testing::{build, check_classifier, data};

    #[test]
    fn each_depth_has_as_many_parameters_as_its_torchvision_namesake() {
        // `sum(p.numel() for p in torchvision.models.resnetN(num_classes=1000).parameters())`
        for (depth, expected) in
            [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)]
        {
            let settings = json!({"_target_": "vision.resnet", "depth": depth, "num_classes": 1000});
            let (variables, _) = build(&settings, &data(3, 224, 224)).unwrap();
            let count: usize = variables.trainable_variables().iter().map(|tensor| tensor.numel()).sum();
            assert_eq!(count, expected, "depth {depth}");
        }
    }

    #[test]
    fn both_blocks_and_both_stems_give_finite_gradients() {
        check_classifier(&json!({"_target_": "vision.resnet", "depth": 18, "stem": "small"}), 1, 16, 16);
        check_classifier(&json!({"_target_": "vision.resnet", "depth": 50}), 3, 64, 48);
    }

    #[test]
    fn another_depth_is_refused_with_those_that_there_are() {
        let error = build(&json!({"_target_": "vision.resnet", "depth": 19}), &data(3, 32, 32)).unwrap_err();
        assert_eq!(error.key_below("model"), "model.depth");
        assert!(error.to_string().contains("expected 18, 34, 50, 101 or 152"), "{error}");
    }
}
