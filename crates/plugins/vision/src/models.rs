//! Networks for images.

pub mod classification;
mod input;
mod layers;
#[cfg(test)]
mod testing;
