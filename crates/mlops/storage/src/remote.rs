//! Artifacts in an object store, below a prefix.
//!
//! An object's name is the prefix, `/` and the artifact's name. Its digest stands in its metadata under `blake3`: an object and its
//! metadata are replaced in one step, so that they always belong together. A store of objects has no folders: a name may be that
//! of an object and begin those of others.

mod connect;
mod error;
mod read;
mod runtime;
mod upload;

use std::{path::Path, sync::Arc};

use futures_util::TryStreamExt as _;
use object_store::{
    Attribute, GetOptions, ObjectMeta, ObjectStore, memory::InMemory, path::Path as ObjectPath,
};

pub(crate) use self::{connect::Environment, read::RemoteReader, upload::RemoteWriter};
use crate::{Artifact, ArtifactFolder, ArtifactName, Listing, StorageError, location::Bucket};

/// The metadata field of an object's BLAKE3 digest. Azure takes letters, digits and `_` only.
const DIGEST_ATTRIBUTE: &str = "blake3";

/// Objects below a prefix.
#[derive(Debug, Clone)]
pub(crate) struct RemoteStore {
    objects: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    /// The store's URI, for messages, without a `/` at its end.
    uri: String,
    variables: &'static str,
}

/// One object, and what tells it from a later one under its name.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) bytes: Vec<u8>,
    pub(crate) update: object_store::UpdateVersion,
}

impl RemoteStore {
    pub(crate) fn connect(
        uri: &str,
        bucket: &Bucket,
        prefix: ObjectPath,
        environment: &Environment,
    ) -> Result<Self, StorageError> {
        let variables = connect::credential_variables(bucket);
        let uri = uri.trim_end_matches('/').to_owned();
        let objects = connect::connect(bucket, environment)
            .map_err(|error| StorageError::Uri { uri: uri.clone(), reason: error.to_string() })?;
        Ok(Self { objects, prefix, uri, variables })
    }

    pub(crate) fn memory() -> Self {
        let objects = Arc::new(InMemory::new());
        Self { objects, prefix: ObjectPath::default(), uri: "memory:".to_owned(), variables: "nothing" }
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// The URI of an artifact.
    pub(crate) fn uri_of(&self, name: &str) -> String {
        if name.is_empty() { self.uri.clone() } else { format!("{}/{name}", self.uri) }
    }

    fn key(&self, name: &str) -> Result<ObjectPath, StorageError> {
        ArtifactName::new(name)?;
        let text =
            if self.prefix.as_ref().is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        ObjectPath::parse(text)
            .map_err(|_| StorageError::Name { name: name.to_owned(), reason: "no object can have that name" })
    }

    fn answer<T>(
        &self,
        uri: &str,
        action: &'static str,
        answer: object_store::Result<T>,
    ) -> Result<T, StorageError> {
        answer.map_err(|error| error::sort(uri, self.variables, action, error))
    }

    pub(crate) fn create(&self, name: &str) -> Result<RemoteWriter, StorageError> {
        self.key(name)?;
        Ok(RemoteWriter::new(self.clone(), ArtifactName::new(name)?))
    }

    /// Sends a file of this machine, which is read twice rather than copied: once for its digest.
    pub(crate) fn put_file(&self, name: &str, path: &Path) -> Result<Artifact, StorageError> {
        use std::io::Seek as _;
        let failed = |error| StorageError::on_read(path, "read the file", error);
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let size = std::io::copy(&mut file, &mut hasher).map_err(failed)?;
        file.rewind().map_err(failed)?;
        self.send(ArtifactName::new(name)?, size, hasher.finalize(), &mut file)
    }

    pub(crate) fn info(&self, name: &str) -> Result<Artifact, StorageError> {
        let (key, objects) = (self.key(name)?, self.objects.clone());
        let options = GetOptions { head: true, ..GetOptions::default() };
        let got = runtime::wait(async move { objects.get_opts(&key, options).await })?;
        let got = self.answer(&self.uri_of(name), "look at the object", got)?;
        let digest = got.attributes.get(&Attribute::Metadata(DIGEST_ATTRIBUTE.into()));
        let digest = digest.map(|value| value.as_ref().to_owned());
        Ok(Artifact { name: ArtifactName::new(name)?, size: got.meta.size, digest })
    }

    /// The first bytes of the object `name`, `count` at most, and its size in bytes.
    pub(crate) fn begin(&self, name: &str, count: u64) -> Result<(Vec<u8>, u64), StorageError> {
        let (key, objects) = (self.key(name)?, self.objects.clone());
        let options = GetOptions { range: Some((0..count).into()), ..GetOptions::default() };
        let got = runtime::wait(async move {
            let got = objects.get_opts(&key, options).await?;
            let size = got.meta.size;
            Ok::<_, object_store::Error>((Vec::from(got.bytes().await?), size))
        })?;
        match got {
            Ok(got) => Ok(got),
            // An empty object has no range that could be asked for.
            Err(_) => Ok((Vec::new(), self.info(name)?.size)),
        }
    }

    /// The store of what lies below `folder`.
    pub(crate) fn within(&self, folder: &str) -> Result<Self, StorageError> {
        Ok(Self { prefix: self.key(folder)?, uri: self.uri_of(folder), ..self.clone() })
    }

    pub(crate) fn list(&self, folder: &str) -> Result<Listing, StorageError> {
        let prefix = if folder.is_empty() { self.prefix.clone() } else { self.key(folder)? };
        let (objects, uri) = (self.objects.clone(), self.uri_of(folder));
        let found = runtime::wait(async move { objects.list_with_delimiter(Some(&prefix)).await })?;
        let found = match self.answer(&uri, "list the objects", found) {
            Err(StorageError::Missing { .. }) => object_store::ListResult {
                common_prefixes: Vec::new(),
                objects: Vec::new(),
                extensions: Default::default(),
            },
            found => found?,
        };
        let mut listing = Listing::default();
        let names = found.common_prefixes.iter().filter_map(|path| self.name_of(path));
        listing.folders.extend(names.map(|name| ArtifactFolder { name }));
        listing.files.extend(found.objects.iter().filter_map(|object| self.artifact(object)));
        listing.folders.sort_by(|left, right| left.name.cmp(&right.name));
        listing.files.sort_by(|left, right| left.name.cmp(&right.name));
        if !folder.is_empty() && listing == Listing::default() {
            // Either an object, or nothing at all, which is reported as such.
            self.info(folder)?;
            return Err(StorageError::Type { path: uri.into(), found: "a file", expected: "a folder" });
        }
        Ok(listing)
    }

    pub(crate) fn files(&self) -> Result<Vec<Artifact>, StorageError> {
        let mut files: Vec<_> = self.below("")?.iter().filter_map(|object| self.artifact(object)).collect();
        files.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(files)
    }

    pub(crate) fn delete(&self, name: &str) -> Result<(), StorageError> {
        let (key, uri) = (self.key(name)?, self.uri_of(name));
        let below = self.below(name)?;
        match self.info(name) {
            Ok(_) => self.remove(&uri, key)?,
            Err(StorageError::Missing { .. }) if !below.is_empty() => {}
            Err(error) => return Err(error),
        }
        self.remove_all(below)
    }

    pub(crate) fn delete_all(&self) -> Result<(), StorageError> {
        self.remove_all(self.below("")?)
    }

    fn remove_all(&self, objects: Vec<ObjectMeta>) -> Result<(), StorageError> {
        use futures_util::StreamExt as _;
        let store = self.objects.clone();
        let removed = runtime::wait(async move {
            let keys = futures_util::stream::iter(objects.into_iter().map(|object| Ok(object.location)));
            store.delete_stream(keys.boxed()).try_for_each(|_| std::future::ready(Ok(()))).await
        })?;
        match self.answer(&self.uri, "remove the objects", removed) {
            // Somebody else was quicker.
            Err(StorageError::Missing { .. }) => Ok(()),
            removed => removed,
        }
    }

    /// All objects at any depth below the folder `name`.
    fn below(&self, name: &str) -> Result<Vec<ObjectMeta>, StorageError> {
        let prefix = if name.is_empty() { self.prefix.clone() } else { self.key(name)? };
        let objects = self.objects.clone();
        let found = runtime::wait(async move { objects.list(Some(&prefix)).try_collect::<Vec<_>>().await })?;
        self.answer(&self.uri_of(name), "list the objects", found)
    }

    /// The artifact that an object is; none for one with a name that this store would not give.
    fn artifact(&self, object: &ObjectMeta) -> Option<Artifact> {
        self.name_of(&object.location).map(|name| Artifact { name, size: object.size, digest: None })
    }

    fn name_of(&self, key: &ObjectPath) -> Option<ArtifactName> {
        let below = key.as_ref().strip_prefix(self.prefix.as_ref())?;
        ArtifactName::new(below.strip_prefix('/').unwrap_or(below)).ok()
    }

    /// An object and its version; none where it is not there.
    pub(crate) fn version(&self, name: &str) -> Result<Option<Version>, StorageError> {
        use object_store::ObjectStoreExt as _;
        let (key, objects) = (self.key(name)?, self.objects.clone());
        let got = runtime::wait(async move {
            let got = objects.get(&key).await?;
            let update = object_store::UpdateVersion {
                e_tag: got.meta.e_tag.clone(),
                version: got.meta.version.clone(),
            };
            Ok(Version { bytes: got.bytes().await?.into(), update })
        })?;
        match self.answer(&self.uri_of(name), "read the object", got) {
            Err(StorageError::Missing { .. }) => Ok(None),
            got => got.map(Some),
        }
    }

    /// Writes an object in place of that version, or where there is none; false where another was quicker.
    pub(crate) fn replace(
        &self,
        name: &str,
        bytes: Vec<u8>,
        version: Option<object_store::UpdateVersion>,
    ) -> Result<bool, StorageError> {
        let (key, objects) = (self.key(name)?, self.objects.clone());
        let mode = version.map_or(object_store::PutMode::Create, object_store::PutMode::Update);
        let options = object_store::PutOptions { mode, ..Default::default() };
        match runtime::wait(async move { objects.put_opts(&key, bytes.into(), options).await })? {
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            put => self.answer(&self.uri_of(name), "write the object", put).map(|_| true),
        }
    }
}

/// The variables of this process's environment that are text.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
