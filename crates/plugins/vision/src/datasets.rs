//! Sets of images, one class each: batches of `image: f32[B, C, H, W]` and `label: i64[B]`.
//!
//! A set says only where its images come from ([`image_set::ImageSet`]); reading, splitting, augmenting, normalising and batching are
//! shared ([`classification::ImageClassificationData`]).

mod cache_folder;
mod cifar10;
mod classification;
mod digits;
mod download;
mod idx;
mod image_file;
mod image_folder;
mod image_set;
mod mnist;
mod pipeline;
mod predict;
mod published;
mod random;
mod split;
#[cfg(test)]
mod testing;

pub use cifar10::Cifar10Config;
pub use digits::DigitsConfig;
pub use image_folder::{Channels, ImageFolderConfig};
pub use mnist::{FashionMnistConfig, MnistConfig};
pub use published::PublishedSetConfig;
pub use random::RandomImagesConfig;
