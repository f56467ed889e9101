//! JPEG and PNG files: whether one is whole, and its pixels at the size that is asked for.

use std::fs::{self, File};
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fulmen_base::{Error, Result};
use image::{ColorType, DynamicImage, ImageDecoder as _, ImageReader, RgbImage};

use crate::transforms::{Area, ImageShape, Interpolation, Pixels, scale};

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

/// The pixels of a file at one size.
pub(crate) fn read(path: &Path, shape: ImageShape, fit: Fit) -> Result<Pixels<'static>> {
    let mut image = decode(path, shape.channels)?;
    let [height, width] = shape.size();
    let whole = Area::whole(image.shape.size());
    let area = match fit {
        Fit::Stretch => whole,
        Fit::Cover => cover(image.shape.size(), shape.size()),
    };
    scale(&mut image, area, [height, width], Interpolation::Bilinear, true)?;
    Ok(image)
}

/// The pixels of a file as they are, in so many channels.
pub(crate) fn decode(path: &Path, channels: usize) -> Result<Pixels<'static>> {
    let bytes = fs::read(path).map_err(|error| Error::data(path, format!("cannot be read: {error}")))?;
    let corrupt = |error: &dyn std::fmt::Display| corrupt(path, &error.to_string());
    let decoder = ImageReader::new(Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(|error| corrupt(&error))?
        .into_decoder()
        .map_err(|error| corrupt(&error))?;
    let (width, height) = decoder.dimensions();
    let shape = ImageShape { channels, height: height as usize, width: width as usize };
    let as_wanted = matches!((decoder.color_type(), channels), (ColorType::Rgb8, 3) | (ColorType::L8, 1));
    let data = if as_wanted {
        let mut data = vec![0; shape.len()];
        decoder.read_image(&mut data).map_err(|error| corrupt(&error))?;
        data
    } else {
        let image = DynamicImage::from_decoder(decoder).map_err(|error| corrupt(&error))?.into_rgb8();
        if channels == 1 { grey(&image) } else { image.into_raw() }
    };
    // The decoder fills what is missing of a JPEG with grey.
    if !has_end(&bytes) {
        return Err(cut_short(path));
    }
    Ok(Pixels { shape, data: data.into() })
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

/// The largest part around the centre of an image of size `old` that has the proportions of `new`, to the pixel.
fn cover([old_height, old_width]: [usize; 2], [height, width]: [usize; 2]) -> Area {
    let scale = (height as f64 / old_height as f64).max(width as f64 / old_width as f64);
    let side = |new: usize, old: usize| ((new as f64 / scale).round() as usize).clamp(1, old);
    let (part_height, part_width) = (side(height, old_height), side(width, old_width));
    Area {
        top: (old_height - part_height) / 2,
        left: (old_width - part_width) / 2,
        height: part_height,
        width: part_width,
    }
}

/// Colour to grey by the weights of ITU-R BT.601, as Pillow and torchvision make it.
fn grey(image: &RgbImage) -> Vec<u8> {
    let grey = |pixel: &image::Rgb<u8>| {
        let [red, green, blue] = pixel.0.map(u32::from);
        ((red * 299 + green * 587 + blue * 114 + 500) / 1000) as u8
    };
    image.pixels().map(grey).collect()
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
    fn an_image_comes_at_the_size_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "a.JPG", "b.jpeg"] {
            let path = folder.path().join(name);
            two_halves(32, 8).save(&path).unwrap();
            check(&path).unwrap();
            let pixels = read(&path, SHAPE, Fit::Stretch).unwrap();
            assert_eq!(pixels.shape, SHAPE);
            // Red of the first and the fourth pixel, then blue.
            let pixels = pixels.data;
            assert!(
                pixels[0] > 200 && pixels[9] < 50 && pixels[2] < 50 && pixels[11] > 200,
                "{name}: {pixels:?}"
            );
            // Covering 4×4 with 16×4 keeps the middle.
            let pixels = read(&path, SHAPE, Fit::Cover).unwrap().data;
            assert!(pixels[0] > 150 && pixels[9] < 100, "{name}: {pixels:?}");
            assert_eq!(decode(&path, 3).unwrap().shape.size(), [8, 32]);
        }
        let grey = ImageShape { channels: 1, ..SHAPE };
        let pixels = read(&folder.path().join("a.png"), grey, Fit::Stretch).unwrap().data;
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
