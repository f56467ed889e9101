//! Reading a journal from its beginning: which records are whole, and what follows them.

use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read, Seek as _, SeekFrom},
    path::Path,
};

use super::{Entry, Header, JournalError};

pub(super) const MAGIC: [u8; 8] = *b"FULMENJ1";
/// Bytes before a record's payload.
pub(super) const RECORD_HEAD: usize = 8;
/// No record is larger, since batches have limits; a larger length is damage.
const LARGEST_PAYLOAD: u32 = 64 << 20;

/// What follows the last whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    Clean,
    /// A part of a record, or zeros, as a death in the middle of a write leaves it.
    Torn { bytes: u64 },
    /// A record that is not what was written, and more behind it.
    Damaged { bytes: u64 },
}

/// What a journal holds.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) header: Header,
    pub(super) length: u64,
    pub(super) entries: u64,
    pub(super) last_sequence: u64,
    pub(super) tail: Tail,
}

/// Reads the whole file; `None` for one that ends before its header does.
pub(super) fn scan(path: &Path, file: &File) -> Result<Option<Found>, JournalError> {
    let failed = |error| JournalError::io(path, "read the journal", error);
    let size = file.metadata().map_err(failed)?.len();
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut magic = [0; MAGIC.len()];
    let head = read_up_to(&mut reader, &mut magic).map_err(failed)?;
    // A crash may have left the length of the file, and zeros.
    if head < MAGIC.len() && MAGIC.starts_with(&magic[..head]) || magic == [0; MAGIC.len()] {
        return Ok(None);
    }
    if magic != MAGIC {
        return Err(JournalError::NotAJournal { path: path.to_path_buf() });
    }
    let Some(payload) = read_record(&mut reader).map_err(failed)? else { return Ok(None) };
    let header = serde_json::from_slice(&payload)
        .map_err(|_| JournalError::NotAJournal { path: path.to_path_buf() })?;
    let mut found = Found {
        header,
        length: (MAGIC.len() + RECORD_HEAD + payload.len()) as u64,
        entries: 0,
        last_sequence: 0,
        tail: Tail::Clean,
    };
    while found.length < size {
        let entry = read_record(&mut reader).map_err(failed)?.and_then(|payload| {
            let entry: Entry = serde_json::from_slice(&payload).ok()?;
            (entry.sequence > found.last_sequence).then_some((entry, payload.len()))
        });
        let Some((entry, payload)) = entry else {
            found.tail = tail(path, file, found.length, size)?;
            break;
        };
        found.length += (RECORD_HEAD + payload) as u64;
        found.last_sequence = entry.sequence;
        found.entries += 1;
    }
    Ok(Some(found))
}

/// Tells a torn tail from damage: a torn record reaches to the end of the file, or is zeros from some byte on.
fn tail(path: &Path, mut file: &File, start: u64, size: u64) -> Result<Tail, JournalError> {
    let failed = |error| JournalError::io(path, "read the journal", error);
    let bytes = size - start;
    let mut head = [0; RECORD_HEAD];
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    let read = read_up_to(&mut file, &mut head).map_err(failed)?;
    let length = u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
    if read < RECORD_HEAD
        || (length <= u64::from(LARGEST_PAYLOAD) && start + RECORD_HEAD as u64 + length >= size)
    {
        return Ok(Tail::Torn { bytes });
    }
    file.seek(SeekFrom::End(-1)).map_err(failed)?;
    let mut last = [1];
    file.read_exact(&mut last).map_err(failed)?;
    // A record ends with `}`; zeros are what a file system puts where data never arrived.
    Ok(if last == [0] { Tail::Torn { bytes } } else { Tail::Damaged { bytes } })
}

/// The payload of the next record, if it is whole.
pub(super) fn read_record(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; RECORD_HEAD];
    if read_up_to(reader, &mut head)? < RECORD_HEAD {
        return Ok(None);
    }
    let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
    let (length, checksum) = (u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([c0, c1, c2, c3]));
    if length == 0 || length > LARGEST_PAYLOAD {
        return Ok(None);
    }
    // Grows as bytes arrive, so that a wrong length costs no memory.
    let mut payload = Vec::new();
    reader.take(u64::from(length)).read_to_end(&mut payload)?;
    let is_whole = payload.len() == length as usize && crc32fast::hash(&payload) == checksum;
    Ok(is_whole.then_some(payload))
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
