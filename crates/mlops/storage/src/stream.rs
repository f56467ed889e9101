//! Reading and writing one artifact, wherever and however it is stored.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use fulmen_encryption::{DecryptingReader, EncryptingWriter, EncryptionError, ScopedKeyring};

use crate::{
    Artifact, StorageError,
    local::LocalWriter,
    proxied::{ProxiedReader, ProxiedWriter},
    remote::{RemoteReader, RemoteWriter},
};

/// Bytes per step while content is copied.
const COPY_BUFFER: usize = 1 << 20;

/// Takes the content of an artifact. It appears under its name when [`finish`](Self::finish) returns; a writer that is dropped
/// before leaves nothing.
#[derive(Debug)]
pub struct ArtifactWriter {
    sink: Sink,
    path: PathBuf,
}

#[derive(Debug)]
enum Sink {
    Plain(Box<Stored>),
    Encrypted(Box<EncryptingWriter<Stored>>),
}

/// Where the stored bytes go.
#[derive(Debug)]
pub(crate) enum Stored {
    Local(LocalWriter),
    Remote(RemoteWriter),
    Proxied(ProxiedWriter),
}

impl ArtifactWriter {
    pub(crate) fn plain(stored: Stored) -> Self {
        Self { path: stored.path(), sink: Sink::Plain(Box::new(stored)) }
    }

    pub(crate) fn encrypted(path: PathBuf, writer: EncryptingWriter<Stored>) -> Self {
        Self { path, sink: Sink::Encrypted(Box::new(writer)) }
    }

    /// Stores what was written, durably, and tells what is stored now.
    ///
    /// # Errors
    /// A full disk, a store that cannot be reached: what was there before is there still.
    pub fn finish(self) -> Result<Artifact, StorageError> {
        match self.sink {
            Sink::Plain(stored) => stored.finish(),
            Sink::Encrypted(writer) => writer
                .finish()
                .map_err(|error| StorageError::on_write(&self.path, "write the file", error))?
                .finish(),
        }
    }

    /// Writes all that `content` yields.
    pub(crate) fn copy_from(&mut self, mut content: impl Read) -> Result<(), StorageError> {
        let mut buffer = vec![0; COPY_BUFFER];
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StorageError::from_stream(&self.path, "read the content", error)),
            };
            let written = self.write_all(&buffer[..count]);
            written.map_err(|error| StorageError::on_write(&self.path, "write the file", error))?;
        }
    }
}

impl Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Plain(stored) => stored.write(bytes),
            Sink::Encrypted(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stored {
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Local(writer) => writer.path().to_path_buf(),
            Self::Remote(writer) => writer.uri().into(),
            Self::Proxied(writer) => writer.uri().into(),
        }
    }

    fn finish(self) -> Result<Artifact, StorageError> {
        match self {
            Self::Local(writer) => writer.finish(),
            Self::Remote(writer) => writer.finish(),
            Self::Proxied(writer) => writer.finish(),
        }
    }
}

impl Write for Stored {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Local(writer) => writer.write(bytes),
            Self::Remote(writer) => writer.write(bytes),
            Self::Proxied(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Yields the content of an artifact. Its errors hold a [`StorageError`] or an
/// [`EncryptionError`](fulmen_encryption::EncryptionError); an encrypted artifact is known to be whole once its end was reached.
#[derive(Debug)]
pub struct ArtifactReader(Source);

#[derive(Debug)]
enum Source {
    Plain(StoredReader),
    /// From a file of this machine.
    EncryptedFile(Box<DecryptingReader<File>>),
    Encrypted(Box<DecryptingReader<StoredReader>>),
}

/// The stored bytes.
#[derive(Debug)]
pub(crate) enum StoredReader {
    Local(File),
    Remote(RemoteReader),
    Proxied(ProxiedReader),
}

impl ArtifactReader {
    pub(crate) fn plain(stored: StoredReader) -> Self {
        Self(Source::Plain(stored))
    }

    pub(crate) fn encrypted(
        stored: StoredReader,
        name: &str,
        keys: &ScopedKeyring,
        file: &str,
    ) -> Result<Self, EncryptionError> {
        Ok(Self(match stored {
            StoredReader::Local(input) => Source::EncryptedFile(Box::new(keys.decrypt(name, file, input)?)),
            input => Source::Encrypted(Box::new(keys.decrypt(name, file, input)?)),
        }))
    }

    /// Passes over the next `count` bytes: of a file of this machine without reading them.
    ///
    /// # Errors
    /// When the artifact cannot be read, or ends before.
    pub fn skip(&mut self, count: u64) -> io::Result<()> {
        match &mut self.0 {
            _ if count == 0 => Ok(()),
            Source::Plain(StoredReader::Local(file)) => {
                let count = i64::try_from(count).map_err(io::Error::other)?;
                file.seek(SeekFrom::Current(count)).map(drop)
            }
            Source::EncryptedFile(reader) => reader.skip(count),
            Source::Plain(_) | Source::Encrypted(_) => {
                io::copy(&mut self.take(count), &mut io::sink()).map(drop)
            }
        }
    }

    /// Writes all of it to `output` and returns the number of bytes. Errors of reading name `path`.
    pub(crate) fn copy_to(mut self, path: &Path, mut output: impl Write) -> Result<u64, StorageError> {
        let mut buffer = vec![0; COPY_BUFFER];
        let mut size = 0;
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return Ok(size),
                Ok(count) => {
                    let written = output.write_all(&buffer[..count]);
                    written.map_err(|error| StorageError::on_write(path, "copy the content", error))?;
                    size += count as u64;
                }
                Err(error) => return Err(StorageError::from_stream(path, "read the file", error)),
            }
        }
    }
}

impl Read for ArtifactReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Plain(reader) => reader.read(buffer),
            Source::EncryptedFile(reader) => reader.read(buffer),
            Source::Encrypted(reader) => reader.read(buffer),
        }
    }
}

impl Read for StoredReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Local(file) => file.read(buffer),
            Self::Remote(reader) => reader.read(buffer),
            Self::Proxied(reader) => reader.read(buffer),
        }
    }
}
