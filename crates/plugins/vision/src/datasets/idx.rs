//! The idx format of MNIST: a magic number, the size of each axis, then the values.
//!
//! Described at the foot of <http://yann.lecun.com/exdb/mnist/>: two zero bytes, the element type (8 is an unsigned byte), the
//! number of axes, each axis as a big-endian 32-bit number, then the values. Gzipped or not.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use fulmen_base::{Error, Result};

use crate::transforms::ImageShape;

/// Images, all of `shape`, one after the other: `[N, H, W] u8`.
pub(crate) fn read_images(path: &Path, shape: ImageShape) -> Result<Vec<u8>> {
    let (axes, values) = read(path, 3)?;
    if axes[1..] != [shape.height, shape.width] {
        let message = format!(
            "holds images of {}×{} pixels, expected {}×{}",
            axes[1], axes[2], shape.height, shape.width
        );
        return Err(Error::data(path, message));
    }
    Ok(values)
}

/// Labels, each below `classes`: `[N] u8`.
pub(crate) fn read_labels(path: &Path, classes: i64) -> Result<Vec<i64>> {
    let (_, values) = read(path, 1)?;
    let labels: Vec<i64> = values.into_iter().map(i64::from).collect();
    match labels.iter().position(|&label| label >= classes) {
        Some(index) => Err(Error::data(
            path,
            format!("label {index} is {}, expected 0 to {}", labels[index], classes - 1),
        )),
        None => Ok(labels),
    }
}

/// The size of each axis, and the values.
fn read(path: &Path, axes: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let wrong = |message: String| Error::data(path, message);
    let bytes = contents(path)?;
    let header_size = 4 + 4 * axes;
    let header = bytes.get(..header_size).ok_or_else(|| {
        wrong(format!("is cut short: it has {} bytes, and the header alone has {header_size}", bytes.len()))
    })?;
    let magic = [0, 0, 8, axes as u8];
    if header[..4] != magic {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let what = if axes == 3 { "images" } else { "labels" };
        return Err(wrong(format!(
            "is no idx file of {what}: it begins with {}, expected {}",
            hex(&header[..4]),
            hex(&magic)
        )));
    }
    let sizes: Vec<usize> = header[4..]
        .chunks_exact(4)
        .map(|size| size.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
        .collect();
    let expected = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    let values = &bytes[header_size..];
    if expected != Some(values.len()) {
        let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
        let relation = if expected.is_none_or(|expected| values.len() < expected) {
            "is cut short"
        } else {
            "is too long"
        };
        return Err(wrong(format!(
            "{relation}: its header says {} values, and it holds {}",
            sizes.join("×"),
            values.len()
        )));
    }
    Ok((sizes, values.to_vec()))
}

/// The bytes of a file, unpacked where it is gzipped.
fn contents(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).map_err(|error| Error::data(path, format!("cannot be read: {error}")))?;
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes.as_slice())
        .read_to_end(&mut unpacked)
        .map_err(|error| Error::data(path, format!("is a damaged gzip file, or is cut short ({error})")))?;
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::testing::{gzipped, idx};

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 2, width: 3 };

    fn check(bytes: &[u8], read: impl Fn(&Path) -> Result<()>, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some-idx");
        fs::write(&path, bytes).unwrap();
        let message = read(&path).unwrap_err().to_string();
        for part in expected.iter().chain(&["some-idx"]) {
            assert!(message.contains(part), "'{part}' is not in: {message}");
        }
    }

    fn images(path: &Path) -> Result<()> {
        read_images(path, SHAPE).map(drop)
    }

    #[test]
    fn images_and_labels_are_read_gzipped_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("idx");
        let pixels: Vec<u8> = (0..12).collect();
        let bytes = idx(&[2, 2, 3], &pixels);
        for bytes in [bytes.clone(), gzipped(&bytes)] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read_images(&path, SHAPE).unwrap(), pixels);
        }
        fs::write(&path, idx(&[3], &[0, 9, 4])).unwrap();
        assert_eq!(read_labels(&path, 10).unwrap(), [0, 9, 4]);
    }

    #[test]
    fn each_fault_is_named_with_what_was_expected() {
        let whole = idx(&[2, 2, 3], &[0; 12]);
        check(&[], images, &["0 bytes"]);
        check(&whole[..20], images, &["cut short", "2×2×3", "holds 4"]);
        check(&idx(&[1, 2, 3], &[0; 12]), images, &["too long", "1×2×3"]);
        check(&idx(&[2, 3, 2], &[0; 12]), images, &["3×2 pixels", "expected 2×3"]);
        check(&idx(&[20], &[0; 20]), images, &["no idx file of images", "00000801", "00000803"]);
        check(&gzipped(&whole)[..20], images, &["gzip"]);
        check(b"<html>not found here</html>", images, &["no idx file", "3c68746d"]);
        check(&idx(&[u32::MAX, u32::MAX, u32::MAX], &[0; 4]), images, &["cut short"]);
        check(&idx(&[3], &[1, 10, 2]), |path| read_labels(path, 10).map(drop), &["label 1 is 10", "0 to 9"]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("idx");
            fs::write(&path, bytes).unwrap();
            let _ = read_images(&path, SHAPE);
            let _ = read_labels(&path, 10);
        }
    }
}
