//! JPEG and PNG files: whether one is whole, and its pixels at the size that is asked for.

use std::fs::{self, File};
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fulmen_base::{Error, Result};
use image::imageops::{self, FilterType};
use image::{ImageReader, RgbImage};

use crate::transforms::ImageShape;

/// What files of images are called, whatever their case.
pub(crate) const EXTENSIONS: &str = ".jpg, .jpeg or .png";

/// How an image is brought to the size that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Scaled until it covers the size, then cut around its centre.
    Cover,
    /// Stretched to the size.
    Stretch,
}

/// Whether a file is an image by its name.
pub(crate) fn is_image(path: &Path) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| {
        ["jpg", "jpeg", "png"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// The images in a folder and in those below it, sorted by path. Hidden files are left out.
pub(crate) fn images_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            found.extend(images_below(&path)?);
        } else if is_image(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

/// What is in a folder, hidden files left out, sorted by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| Error::data(folder, format!("cannot be read: {error}"));
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

/// Whether a file begins and ends as an image does, without decoding it.
pub(crate) fn check(path: &Path) -> Result<()> {
    let unreadable = |error: std::io::Error| Error::data(path, format!("cannot be read: {error}"));
    let mut file = File::open(path).map_err(unreadable)?;
    ImageReader::new(std::io::BufReader::new(&file))
        .with_guessed_format()
        .map_err(unreadable)?
        .into_dimensions()
        .map_err(|error| corrupt(path, &error.to_string()))?;
    let size = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(64))).map_err(unreadable)?;
    file.read_to_end(&mut tail).map_err(unreadable)?;
    if has_end(&tail) || has_end(&fs::read(path).map_err(unreadable)?) {
        Ok(())
    } else {
        Err(cut_short(path))
    }
}

/// The pixels of a file: channel by channel, row by row, 0 to 255.
pub(crate) fn read(path: &Path, shape: ImageShape, fit: Fit) -> Result<Vec<u8>> {
    let bytes = fs::read(path).map_err(|error| Error::data(path, format!("cannot be read: {error}")))?;
    let image = ImageReader::new(Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(|error| corrupt(path, &error.to_string()))?
        .decode()
        .map_err(|error| corrupt(path, &error.to_string()))?;
    // The decoder fills what is missing of a JPEG with grey.
    if !has_end(&bytes) {
        return Err(cut_short(path));
    }
    Ok(planes(&fitted(image.into_rgb8(), shape, fit), shape.channels))
}

/// The marker that ends an image: EOI of JPEG (its data never holds it otherwise), the IEND chunk of PNG.
fn has_end(bytes: &[u8]) -> bool {
    bytes.windows(2).rev().any(|pair| pair == [0xFF, 0xD9])
        || bytes.windows(4).rev().any(|four| four == b"IEND")
}

fn corrupt(path: &Path, reason: &str) -> Error {
    Error::data(
        path,
        format!("is no JPEG or PNG image that can be read ({reason}): replace the file, or take it out"),
    )
}

fn cut_short(path: &Path) -> Error {
    Error::data(path, "is cut short: the image's end is missing; replace the file, or take it out")
}

fn fitted(image: RgbImage, shape: ImageShape, fit: Fit) -> RgbImage {
    let (height, width) = (shape.height as u32, shape.width as u32);
    if image.dimensions() == (width, height) {
        return image;
    }
    match fit {
        Fit::Stretch => imageops::resize(&image, width, height, FilterType::Triangle),
        Fit::Cover => {
            let (old_width, old_height) = (f64::from(image.width()), f64::from(image.height()));
            let scale = (f64::from(width) / old_width).max(f64::from(height) / old_height);
            let cover_width = ((old_width * scale).round() as u32).max(width);
            let cover_height = ((old_height * scale).round() as u32).max(height);
            let cover = imageops::resize(&image, cover_width, cover_height, FilterType::Triangle);
            let (left, top) = ((cover_width - width) / 2, (cover_height - height) / 2);
            imageops::crop_imm(&cover, left, top, width, height).to_image()
        }
    }
}

/// Pixels to planes; grey by the weights of ITU-R BT.601, as Pillow and torchvision make it.
fn planes(image: &RgbImage, channels: usize) -> Vec<u8> {
    if channels == 1 {
        return image
            .pixels()
            .map(|pixel| {
                let [red, green, blue] = pixel.0.map(u32::from);
                ((red * 299 + green * 587 + blue * 114 + 500) / 1000) as u8
            })
            .collect();
    }
    (0..channels).flat_map(|channel| image.pixels().map(move |pixel| pixel.0[channel])).collect()
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 3, height: 4, width: 4 };

    /// Left half red, right half blue.
    fn two_halves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(
            width,
            height,
            |x, _| if x < width / 2 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) },
        )
    }

    #[test]
    fn an_image_comes_as_planes_at_the_size_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "a.JPG", "b.jpeg"] {
            let path = folder.path().join(name);
            two_halves(32, 8).save(&path).unwrap();
            check(&path).unwrap();
            let pixels = read(&path, SHAPE, Fit::Stretch).unwrap();
            assert!(
                pixels[0] > 200 && pixels[3] < 50 && pixels[32] < 50 && pixels[35] > 200,
                "{name}: {pixels:?}"
            );
            // Covering 4×4 with 16×4 keeps the middle.
            let pixels = read(&path, SHAPE, Fit::Cover).unwrap();
            assert!(pixels[0] > 150 && pixels[3] < 100, "{name}: {pixels:?}");
        }
        let grey = ImageShape { channels: 1, ..SHAPE };
        let pixels = read(&folder.path().join("a.png"), grey, Fit::Stretch).unwrap();
        assert_eq!((pixels.len(), pixels[0], pixels[3]), (16, 76, 29));
        assert_eq!(images_below(folder.path()).unwrap().len(), 3);
    }

    #[test]
    fn a_damaged_file_is_named_by_the_quick_check_and_by_reading() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cut.png", "cut.jpg"] {
            let path = folder.path().join(name);
            RgbImage::from_fn(64, 64, |x, y| {
                Rgb([(x * 7 % 256) as u8, (y * 13 % 256) as u8, (x * y % 256) as u8])
            })
            .save(&path)
            .unwrap();
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
            for error in [check(&path).unwrap_err(), read(&path, SHAPE, Fit::Cover).unwrap_err()] {
                assert!(error.to_string().contains(name), "{error}");
            }
        }
        let text = folder.path().join("text.png");
        fs::write(&text, "not an image").unwrap();
        assert!(check(&text).unwrap_err().to_string().contains("no JPEG or PNG"));
    }
}
