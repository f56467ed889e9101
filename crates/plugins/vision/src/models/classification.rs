//! One class an image: `image: f32[B, C, H, W]` in, `logits: f32[B, K]` out.

mod convnet;
mod lenet;
mod mlp;
mod resnet;

pub use convnet::{ConvNet, ConvNetConfig};
pub use lenet::{LeNet, LeNetConfig};
pub use mlp::{Mlp, MlpConfig};
pub use resnet::{Depth, ResNet, ResNetConfig, Stem};
