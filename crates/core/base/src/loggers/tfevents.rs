//! TensorBoard's event files: records of TensorFlow's framing around protocol buffers of `tensorflow.Event`.
//!
//! A record is its length (u64), a checksum of the length, the bytes, a checksum of the bytes, all little-endian; the
//! checksum is CRC-32C, rotated and shifted (`tensorflow/core/lib/io/record_writer.h`, `lib/hash/crc32c.h`). The few fields
//! that scalars need are written by hand (`tensorflow/core/util/event.proto`, `framework/summary.proto`).

/// CRC-32C (Castagnoli), reflected.
const POLYNOMIAL: u32 = 0x82F6_3B78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = !bytes
        .iter()
        .fold(!0_u32, |crc, byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xFF) as usize]);
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// Frames `event` as a record.
pub(super) fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(event.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(event);
    record.extend(masked_crc(event).to_le_bytes());
    record
}

/// The events of a file, up to the first that is not whole.
pub(super) fn records(mut file: &[u8]) -> Vec<&[u8]> {
    let mut events = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk::<8>() {
        let size = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((crc, rest)) = rest.split_first_chunk::<4>() else { break };
        if *crc != masked_crc(length).to_le_bytes() || rest.len() < size.saturating_add(4) {
            break;
        }
        let (event, rest) = rest.split_at(size);
        if rest[..4] != masked_crc(event).to_le_bytes() {
            break;
        }
        events.push(event);
        file = &rest[4..];
    }
    events
}

/// The first event of a file.
pub(super) fn file_version(seconds: f64) -> Vec<u8> {
    let mut event = wall_time(seconds);
    bytes_field(&mut event, 3, b"brain.Event:2");
    event
}

/// The values of one moment.
pub(super) fn scalars<'a>(seconds: f64, step: u64, values: impl Iterator<Item = (&'a str, f64)>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut one = Vec::new();
        bytes_field(&mut one, 1, tag.as_bytes());
        // `simple_value`, field 2, a 32-bit float.
        one.push(2 << 3 | 5);
        one.extend((value as f32).to_le_bytes());
        bytes_field(&mut summary, 1, &one);
    }
    let mut event = wall_time(seconds);
    event.push(2 << 3);
    varint(&mut event, step);
    bytes_field(&mut event, 5, &summary);
    event
}

fn wall_time(seconds: f64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(seconds.to_le_bytes());
    event
}

fn bytes_field(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2);
    varint(message, bytes.len() as u64);
    message.extend(bytes);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// The step of an event that [`scalars`] made, and the names of its values; none for another event.
pub(super) fn step_and_tags(event: &[u8]) -> Option<(u64, Vec<String>)> {
    // The wall time comes first, then the step, then the summary.
    let mut rest = event.get(9..)?.strip_prefix(&[2 << 3])?;
    let step = read_varint(&mut rest)?;
    let mut summary = read_bytes(&mut rest, 5)?;
    let mut tags = Vec::new();
    while !summary.is_empty() {
        let mut value = read_bytes(&mut summary, 1)?;
        tags.push(String::from_utf8_lossy(read_bytes(&mut value, 1)?).into_owned());
    }
    Some((step, tags))
}

fn read_varint(from: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
}

fn read_bytes<'a>(from: &mut &'a [u8], field: u8) -> Option<&'a [u8]> {
    *from = from.strip_prefix(&[field << 3 | 2])?;
    let size = usize::try_from(read_varint(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(size)?;
    *from = rest;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        // RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 0x8A9136AA.
        let crc = 0x8A91_36AA_u32;
        assert_eq!(masked_crc(&[0; 32]), crc.rotate_right(15).wrapping_add(0xA282_EAD8));
    }

    #[test]
    fn bytes_are_those_that_tensorboard_writes() {
        let frozen = include_bytes!("tfevents_test.bin");
        let mut own = record(&file_version(1_700_000_000.5));
        let values = [("train/loss", 0.25), ("val/accuracy", 0.75)];
        own.extend(record(&scalars(1_700_000_001.0, 300, values.into_iter())));
        own.extend(record(&scalars(1_700_000_002.0, 301, [("val/loss", f64::NAN)].into_iter())));
        assert_eq!(own, frozen);
    }

    #[test]
    fn what_was_written_is_read_up_to_the_first_record_that_is_not_whole() {
        let mut file = record(&file_version(1.0));
        file.extend(record(&scalars(1.0, 1 << 40, [("loss", 1.0), ("lr", 2.0)].into_iter())));
        let whole = file.len();
        file.extend(&record(&scalars(1.0, 8, [("loss", 1.0)].into_iter()))[..20]);
        let events = records(&file);
        assert_eq!(events.len(), 2);
        assert_eq!(step_and_tags(events[0]), None);
        assert_eq!(step_and_tags(events[1]), Some((1 << 40, vec!["loss".to_owned(), "lr".to_owned()])));
        file[whole - 1] ^= 1;
        assert_eq!(records(&file).len(), 1);
    }
}
