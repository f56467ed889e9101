//! Small images and idx files, made here.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// A grey PNG: one bright square whose place depends on `class`, so that a model can learn it.
pub fn write_png(path: &Path, size: u32, class: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut pixels = vec![16_u8; (size * size) as usize];
    for row in 0..size / 2 {
        for column in 0..size / 2 {
            let (row, column) = (row + (class / 2 % 2) * size / 2, column + (class % 2) * size / 2);
            pixels[(row * size + column) as usize] = 230;
        }
    }
    let mut png = vec![0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
    let mut header = Vec::new();
    header.extend(size.to_be_bytes());
    header.extend(size.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    chunk(&mut png, b"IHDR", &header);
    let rows: Vec<u8> = pixels.chunks(size as usize).flat_map(|row| [&[0], row].concat()).collect();
    chunk(&mut png, b"IDAT", &stored(&rows));
    chunk(&mut png, b"IEND", &[]);
    File::create(path).unwrap().write_all(&png).unwrap();
}

/// A folder of classes, each with `count` images.
pub fn write_folder(root: &Path, classes: &[&str], count: u32) {
    for (class, name) in classes.iter().enumerate() {
        for number in 0..count {
            write_png(&root.join(name).join(format!("{number:03}.png")), 16, class as u32);
        }
    }
}

/// An idx file of unsigned bytes (LeCun's format).
pub fn idx(dimensions: &[u32], data: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dimensions.len() as u8];
    file.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
    file.extend(data);
    file
}

fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    let checked = [kind.as_slice(), data].concat();
    png.extend(&checked);
    png.extend(crc32(&checked).to_be_bytes());
}

/// zlib without compression, RFC 1950 and 1951.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks: Vec<&[u8]> = data.chunks(0xffff).collect();
    for (index, block) in blocks.iter().enumerate() {
        stream.push(u8::from(index + 1 == blocks.len()));
        stream.extend((block.len() as u16).to_le_bytes());
        stream.extend((!(block.len() as u16)).to_le_bytes());
        stream.extend(*block);
    }
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    stream.extend(((b << 16) | a).to_be_bytes());
    stream
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}
