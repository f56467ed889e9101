//! An image as bytes and as numbers.

use std::borrow::Cow;

/// Size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
}

impl ImageShape {
    /// Values of an image.
    pub const fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether an image has no values.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Pixels of one channel.
    pub const fn plane(self) -> usize {
        self.height * self.width
    }

    /// Height and width.
    pub const fn size(self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// The same channels at another height and width.
    #[must_use]
    pub const fn with_size(self, [height, width]: [usize; 2]) -> Self {
        Self { channels: self.channels, height, width }
    }
}

/// An image as bytes: `[H, W, C] u8`, 0 to 255. Borrowed where the data set holds it in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels<'image> {
    /// Its size.
    pub shape: ImageShape,
    /// Row by row, the channels of a pixel together.
    pub data: Cow<'image, [u8]>,
}

/// An image as numbers: `[C, H, W] f32`, from 0 to 1 until it is normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Its size.
    pub shape: ImageShape,
    /// Its values, channel by channel, row by row.
    pub data: Vec<f32>,
}
