//! A run's journal: an append-only file that holds what the run logs until a store has it.
//!
//! ```text
//! file   = "FULMENJ1" header-record record…
//! record = length (u32) crc32 (u32, of the payload) payload (JSON)      integers little-endian
//! ```
//!
//! An append is one `write`, done when it returns as far as the death of the process is concerned; the recorder calls
//! [`JournalSyncer::sync`] once a second, so that the loss of power costs no more than the last second. A file that ends
//! in the middle of a record was being written when its process died: the part is cut off. One process has a journal
//! open at a time, by an advisory lock.

mod error;
mod scan;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::error::JournalError;
pub(crate) use self::scan::Tail;
use self::scan::{Found, MAGIC, RECORD_HEAD, read_record, scan};
use crate::{RunBatch, RunFinish};

/// The first record: whose journal it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Header {
    /// 32 hexadecimal digits, made up for this file.
    pub(crate) journal_id: String,
    pub(crate) run_id: String,
}

/// Any later record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Grows from entry to entry. The upper half counts how often the journal was opened to go on, the lower half the
    /// entries since: no number comes twice, even if a loss of power took entries from the file that the store has.
    pub(crate) sequence: u64,
    #[serde(default)]
    pub(crate) batch: RunBatch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) finish: Option<RunFinish>,
}

/// A journal that is open for writing, and locked.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    pub(crate) header: Header,
    /// Length of the whole records, in bytes.
    pub(crate) length: u64,
    /// Number of entries.
    pub(crate) entries: u64,
    /// Sequence number of the last entry, or what the next one follows.
    last_sequence: u64,
    /// What followed the last whole record when the file was opened.
    pub(crate) tail: Tail,
}

impl Journal {
    /// Opens the journal of `run_id` at `path` to go on where it ends, or begins it.
    pub(crate) fn start(path: &Path, run_id: &str) -> Result<Self, JournalError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)
                .map_err(|error| JournalError::io(folder, "create the folder", error))?;
        }
        let file = lock(path, OpenOptions::new().read(true).write(true).create(true).truncate(false))?;
        let Some(found) = scan(path, &file)? else { return Self::begin(path, file, run_id) };
        if found.header.run_id != run_id {
            let (path, found) = (path.to_path_buf(), found.header.run_id);
            return Err(JournalError::OtherRun { path, found, expected: run_id.to_owned() });
        }
        if let Tail::Damaged { .. } = found.tail {
            return Err(JournalError::Damaged { path: path.to_path_buf(), offset: found.length });
        }
        let mut journal = Self::from_found(path, file, found)?;
        journal.last_sequence = ((journal.last_sequence >> 32) + 1) << 32;
        Ok(journal)
    }

    /// Opens the journal that a process left behind; `None` where it died before its journal had begun.
    pub(crate) fn open_left_over(path: &Path) -> Result<Option<Self>, JournalError> {
        let file = lock(path, OpenOptions::new().read(true).write(true))?;
        scan(path, &file)?.map(|found| Self::from_found(path, file, found)).transpose()
    }

    fn from_found(path: &Path, file: File, found: Found) -> Result<Self, JournalError> {
        let Found { header, length, entries, last_sequence, tail } = found;
        if let Tail::Torn { .. } = tail {
            file.set_len(length).map_err(|error| JournalError::io(path, "cut the journal", error))?;
        }
        Ok(Self { path: path.to_path_buf(), file, header, length, entries, last_sequence, tail })
    }

    fn begin(path: &Path, file: File, run_id: &str) -> Result<Self, JournalError> {
        let header = Header { journal_id: Uuid::new_v4().simple().to_string(), run_id: run_id.to_owned() };
        let mut bytes = MAGIC.to_vec();
        bytes.extend(record(path, &header)?);
        let failed = |error| JournalError::io(path, "begin the journal", error);
        file.set_len(0).map_err(failed)?;
        (&file).seek(SeekFrom::Start(0)).map_err(failed)?;
        (&file).write_all(&bytes).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let (path, length) = (path.to_path_buf(), bytes.len() as u64);
        Ok(Self { path, file, header, length, entries: 0, last_sequence: 0, tail: Tail::Clean })
    }

    /// Appends an entry.
    pub(crate) fn append(&mut self, batch: RunBatch, finish: Option<RunFinish>) -> Result<(), JournalError> {
        let entry = Entry { sequence: self.last_sequence + 1, batch, finish };
        let bytes = record(&self.path, &entry)?;
        let mut file = &self.file;
        let written = file.seek(SeekFrom::Start(self.length)).and_then(|_| file.write_all(&bytes));
        if let Err(error) = written {
            // What was written of it would read as damage once another entry follows.
            let _ = self.file.set_len(self.length);
            return Err(JournalError::io(&self.path, "append to the journal", error));
        }
        self.length += bytes.len() as u64;
        self.last_sequence = entry.sequence;
        self.entries += 1;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A handle that brings what was appended to the disk, while appends go on.
    pub(crate) fn syncer(&self) -> Result<JournalSyncer, JournalError> {
        let file = self
            .file
            .try_clone()
            .map_err(|error| JournalError::io(&self.path, "share the journal", error))?;
        Ok(JournalSyncer { path: self.path.clone(), file })
    }

    /// A reader of the entries, from the first.
    pub(crate) fn reader(&self) -> Result<JournalReader, JournalError> {
        JournalReader::open(&self.path)
    }

    /// Removes the file. Only for a journal whose entries are all in a store.
    pub(crate) fn remove(self) -> Result<(), JournalError> {
        fs::remove_file(&self.path).map_err(|error| JournalError::io(&self.path, "remove the journal", error))
    }
}

/// Brings a journal to the disk.
#[derive(Debug)]
pub(crate) struct JournalSyncer {
    path: PathBuf,
    file: File,
}

impl JournalSyncer {
    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        self.file
            .sync_data()
            .map_err(|error| JournalError::io(&self.path, "write the journal to disk", error))
    }
}

/// Reads the entries of a journal while its writer appends.
#[derive(Debug)]
pub(crate) struct JournalReader {
    path: PathBuf,
    file: BufReader<File>,
    /// Where the first entry begins.
    first: u64,
    /// Where the next entry begins.
    pub(crate) offset: u64,
}

impl JournalReader {
    fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |error| JournalError::io(path, "read the journal", error);
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic).map_err(failed)?;
        let header = read_record(&mut file).map_err(failed)?;
        let header = header.ok_or_else(|| JournalError::Damaged { path: path.to_path_buf(), offset: 0 })?;
        let first = (MAGIC.len() + RECORD_HEAD + header.len()) as u64;
        Ok(Self { path: path.to_path_buf(), file, first, offset: first })
    }

    /// The next entry, if it lies before the byte `end`.
    pub(crate) fn next_before(&mut self, end: u64) -> Result<Option<Entry>, JournalError> {
        if self.offset >= end {
            return Ok(None);
        }
        let failed = |error| JournalError::io(&self.path, "read the journal", error);
        // Bytes that were buffered may have been read before their record was complete.
        self.file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        let payload = read_record(&mut self.file).map_err(failed)?;
        let entry = payload.as_deref().and_then(|payload| serde_json::from_slice(payload).ok());
        let (Some(payload), Some(entry)) = (payload, entry) else {
            return Err(JournalError::Damaged { path: self.path.clone(), offset: self.offset });
        };
        self.offset += (RECORD_HEAD + payload.len()) as u64;
        Ok(Some(entry))
    }

    /// Goes back to the first entry.
    pub(crate) fn rewind(&mut self) {
        self.offset = self.first;
    }
}

fn lock(path: &Path, options: &OpenOptions) -> Result<File, JournalError> {
    let file = options.open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => JournalError::Missing { path: path.to_path_buf() },
        _ => JournalError::io(path, "open the journal", error),
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: path.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(JournalError::io(path, "lock the journal", error)),
    }
}

fn record(path: &Path, payload: &impl Serialize) -> Result<Vec<u8>, JournalError> {
    let mut bytes = vec![0; RECORD_HEAD];
    serde_json::to_writer(&mut bytes, payload)
        .map_err(|error| JournalError::io(path, "encode a record of the journal", error.into()))?;
    let (head, payload) = bytes.split_at_mut(RECORD_HEAD);
    // Limits on batches keep a record far below 4 GiB.
    head[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests;
