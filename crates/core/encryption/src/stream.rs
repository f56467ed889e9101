//! Readers and writers of encrypted files.

use std::fmt;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use age::stream::{StreamReader, StreamWriter};
use age::x25519::{Identity, Recipient};
use age::{Decryptor, Encryptor};

use crate::EncryptionError;

/// First line of an age file.
const AGE_MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// Begins the line inside that names the file.
const NAME_PREFIX: &str = "fulmen-encrypted-1 ";
/// Longest name, in bytes.
const LONGEST_NAME: usize = 4096;
/// Bytes of a chunk, as age cuts them, and of the tag behind each.
const CHUNK: u64 = 64 << 10;
const TAG: u64 = 16;
/// Bytes of the nonce between the head and the first chunk.
const NONCE: u64 = 16;
/// Bytes read at a time: a chunk of age's and more.
const BUFFER: usize = 128 << 10;

/// Whether a file that begins with `bytes` is an age file.
#[must_use]
pub fn is_encrypted(bytes: &[u8]) -> bool {
    bytes.starts_with(AGE_MAGIC)
}

/// Length in bytes of what an encrypted file holds that is `length` bytes long, begins with `head`, and was written under `name`. It
/// is what the file says, not what was found authentic. None where `head` is not all of an encrypted file's head, which is shorter
/// than 4096 bytes.
pub(crate) fn content_length(name: &str, head: &[u8], length: u64) -> Option<u64> {
    // The head ends with the line of its MAC.
    let mac = head.windows(5).position(|window| window == b"\n--- ")? + 1;
    let end = mac + head[mac..].iter().position(|byte| *byte == b'\n')? + 1;
    let sealed = length.checked_sub(end as u64 + NONCE).filter(|_| is_encrypted(head))?;
    let line = (NAME_PREFIX.len() + name.len() + 1) as u64;
    sealed.checked_sub(sealed.div_ceil(CHUNK + TAG) * TAG)?.checked_sub(line)
}

/// Encrypts what is written to it.
pub struct EncryptingWriter<W: Write>(StreamWriter<W>);

impl<W: Write> EncryptingWriter<W> {
    pub(crate) fn new(name: &str, recipient: &Recipient, output: W) -> Result<Self, EncryptionError> {
        if name.contains(['\n', '\r']) || name.len() > LONGEST_NAME {
            return Err(EncryptionError::Name { name: name.to_owned() });
        }
        let encryptor = Encryptor::with_recipients([recipient as _].into_iter())
            .map_err(|_| EncryptionError::NoRecipient)?;
        let started = encryptor.wrap_output(output).and_then(|mut stream| {
            stream.write_all(format!("{NAME_PREFIX}{name}\n").as_bytes())?;
            Ok(stream)
        });
        started.map(Self).map_err(|source| EncryptionError::Io { file: name.to_owned(), source })
    }

    /// Writes what is left, and the mark of the end: without it the file counts as cut off.
    ///
    /// # Errors
    /// When the output fails.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for EncryptingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> fmt::Debug for EncryptingWriter<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EncryptingWriter")
    }
}

/// Yields what was encrypted. An error of it holds an [`EncryptionError`] where the file is at fault.
pub struct DecryptingReader<R: Read> {
    stream: StreamReader<BufReader<R>>,
    file: String,
    name: String,
}

impl<R: Read> DecryptingReader<R> {
    pub(crate) fn new<'key>(
        file: &str,
        keys: impl Iterator<Item = &'key Identity>,
        input: R,
    ) -> Result<Self, EncryptionError> {
        use std::io::BufRead as _;
        let mut input = BufReader::with_capacity(BUFFER, input);
        let begin = input.fill_buf().map_err(|error| EncryptionError::from_io(file, error))?;
        // A short first read may be a file cut off within the first line.
        let length = begin.len().min(AGE_MAGIC.len());
        if begin[..length] != AGE_MAGIC[..length] {
            return Err(EncryptionError::NotEncrypted { file: file.to_owned() });
        }
        let decryptor = Decryptor::new_buffered(input).map_err(|error| EncryptionError::head(file, error))?;
        let stream = decryptor
            .decrypt(keys.map(|key| key as _))
            .map_err(|error| EncryptionError::head(file, error))?;
        let mut reader = Self { stream, file: file.to_owned(), name: String::new() };
        reader.name = reader.read_name()?;
        Ok(reader)
    }

    /// The name that the file was written under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn read_name(&mut self) -> Result<String, EncryptionError> {
        let damaged = || EncryptionError::Damaged { file: self.file.clone() };
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(0) => return Err(damaged()),
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) => line.push(byte[0]),
                Err(error) => return Err(EncryptionError::from_io(&self.file, error)),
            }
            if line.len() > NAME_PREFIX.len() + LONGEST_NAME {
                return Err(damaged());
            }
        }
        let line = String::from_utf8(line).map_err(|_| damaged())?;
        line.strip_prefix(NAME_PREFIX).map(str::to_owned).ok_or_else(damaged)
    }
}

impl<R: Read + Seek> DecryptingReader<R> {
    /// Passes over the next `count` bytes; what lies before the chunk that they end in is not decrypted.
    ///
    /// # Errors
    /// When the input fails, or ends before.
    pub fn skip(&mut self, count: u64) -> io::Result<()> {
        let count = i64::try_from(count).map_err(io::Error::other)?;
        self.stream.seek(SeekFrom::Current(count)).map(drop).map_err(|error| failed(&self.file, error))
    }
}

impl<R: Read> Read for DecryptingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer).map_err(|error| failed(&self.file, error))
    }
}

/// An error of the stream, as its reader is told it.
fn failed(file: &str, error: io::Error) -> io::Error {
    match EncryptionError::from_io(file, error) {
        EncryptionError::Io { source, .. } => source,
        damaged => io::Error::new(io::ErrorKind::InvalidData, damaged),
    }
}

impl<R: Read> fmt::Debug for DecryptingReader<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DecryptingReader").field("file", &self.file).finish_non_exhaustive()
    }
}
