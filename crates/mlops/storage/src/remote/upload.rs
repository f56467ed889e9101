//! Writing objects: whole in one request, or in parts of which nothing shows until the last step.

use std::{
    collections::VecDeque,
    io::{self, Read, Seek as _, SeekFrom, Write},
};

use object_store::{
    Attribute, Attributes, MultipartUpload, ObjectStoreExt as _, PutMultipartOptions, PutOptions,
};
use tempfile::SpooledTempFile;

use super::{DIGEST_ATTRIBUTE, RemoteStore, runtime};
use crate::{Artifact, ArtifactName, StorageError};

/// Bytes of a part, and the largest object that is written in one request. S3 asks for 5 MiB or more.
const PART: u64 = 8 << 20;
/// S3's largest number of parts.
const MOST_PARTS: u64 = 10_000;
/// Parts under way at a time.
const AT_ONCE: usize = 4;

/// An object that is being written. What it is given waits on this machine, beyond a part's size on disk: its digest belongs to the
/// object's metadata, which go before the content.
#[derive(Debug)]
pub(crate) struct RemoteWriter {
    store: RemoteStore,
    name: ArtifactName,
    spool: SpooledTempFile,
    hasher: blake3::Hasher,
    size: u64,
}

impl RemoteWriter {
    pub(super) fn new(store: RemoteStore, name: ArtifactName) -> Self {
        let spool = SpooledTempFile::new(usize::try_from(PART).unwrap_or(usize::MAX));
        Self { store, name, spool, hasher: blake3::Hasher::new(), size: 0 }
    }

    /// Where the object will be.
    pub(crate) fn uri(&self) -> String {
        self.store.uri_of(self.name.as_str())
    }

    /// Sends the object.
    pub(crate) fn finish(mut self) -> Result<Artifact, StorageError> {
        let digest = self.hasher.finalize();
        let failed = |source| StorageError::Io { path: "spooled artifact".into(), action: "read it", source };
        self.spool.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.store.send(self.name, self.size, digest, &mut self.spool)
    }
}

impl Write for RemoteWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.spool.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RemoteStore {
    /// Writes the `size` bytes of `content`, whose digest is known: all of them in one step, or none. Content with another digest
    /// is refused before that step.
    pub(super) fn send(
        &self,
        name: ArtifactName,
        size: u64,
        digest: blake3::Hash,
        content: &mut impl Read,
    ) -> Result<Artifact, StorageError> {
        let key = self.key(name.as_str())?;
        let uri = self.uri_of(name.as_str());
        let text = digest.to_hex().to_string();
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::Metadata(DIGEST_ATTRIBUTE.into()), text.clone().into());
        let mut source = Digested { content, hasher: blake3::Hasher::new(), left: size, path: &uri };
        let artifact = Artifact { name, size, digest: Some(text) };
        if size <= PART {
            let bytes = source.part(size)?;
            source.check(digest)?;
            let objects = self.objects.clone();
            let options = PutOptions { attributes, ..PutOptions::default() };
            let put = async move { objects.put_opts(&key, bytes.into(), options).await };
            self.answer(&uri, "write the object", runtime::wait(put)?)?;
            return Ok(artifact);
        }
        let objects = self.objects.clone();
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let begun = runtime::wait(async move { objects.put_multipart_opts(&key, options).await })?;
        let mut upload = self.answer(&uri, "begin to write the object", begun)?;
        let sent = self.send_parts(&uri, &mut upload, &mut source, size).and_then(|()| source.check(digest));
        let finish = sent.is_ok();
        let ended = runtime::wait(async move {
            if finish { upload.complete().await.map(|_| ()) } else { upload.abort().await }
        })?;
        // The first failure is the one to tell; an upload that could not be aborted shows nowhere either.
        sent?;
        self.answer(&uri, "finish the object", ended)?;
        Ok(artifact)
    }

    fn send_parts(
        &self,
        uri: &str,
        upload: &mut Box<dyn MultipartUpload>,
        source: &mut Digested<'_, impl Read>,
        size: u64,
    ) -> Result<(), StorageError> {
        let part = PART.max(size.div_ceil(MOST_PARTS));
        let mut under_way = VecDeque::new();
        while source.left > 0 {
            if under_way.len() == AT_ONCE {
                self.take_part(uri, &mut under_way)?;
            }
            let bytes = source.part(part)?;
            under_way.push_back(runtime::start(upload.put_part(bytes.into()))?);
        }
        while !under_way.is_empty() {
            self.take_part(uri, &mut under_way)?;
        }
        Ok(())
    }

    fn take_part(
        &self,
        uri: &str,
        under_way: &mut VecDeque<runtime::Pending<object_store::Result<()>>>,
    ) -> Result<(), StorageError> {
        let Some(oldest) = under_way.pop_front() else { return Ok(()) };
        self.answer(uri, "write a part of the object", oldest.wait()?)
    }

    /// Removes one object.
    pub(super) fn remove(&self, uri: &str, key: object_store::path::Path) -> Result<(), StorageError> {
        let objects = self.objects.clone();
        self.answer(uri, "remove the object", runtime::wait(async move { objects.delete(&key).await })?)
    }
}

/// Content that is read part by part, and digested meanwhile.
struct Digested<'a, R> {
    content: &'a mut R,
    hasher: blake3::Hasher,
    left: u64,
    path: &'a str,
}

impl<R: Read> Digested<'_, R> {
    /// The next `size` bytes, or those that are left.
    fn part(&mut self, size: u64) -> Result<Vec<u8>, StorageError> {
        let wanted = size.min(self.left);
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
        let read = self.content.by_ref().take(wanted).read_to_end(&mut bytes);
        read.map_err(|error| StorageError::from_stream(self.path.as_ref(), "read the content", error))?;
        if (bytes.len() as u64) < wanted {
            return Err(StorageError::Changed { path: self.path.into() });
        }
        self.hasher.update(&bytes);
        self.left -= wanted;
        Ok(bytes)
    }

    fn check(&self, digest: blake3::Hash) -> Result<(), StorageError> {
        if self.hasher.finalize() == digest {
            Ok(())
        } else {
            Err(StorageError::Changed { path: self.path.into() })
        }
    }
}
