//! The store of artifacts: one interface over a folder, over objects and over a server, encrypted or not.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use fulmen_encryption::ScopedKeyring;

use crate::{
    Artifact, ArtifactProxy, ArtifactReader, ArtifactWriter, Listing, LocalStore, StorageError, local,
    location::Location,
    proxied::ProxiedStore,
    remote::{RemoteStore, environment},
    stream::{Stored, StoredReader},
};

/// As many bytes as it takes to know how long an encrypted file's content is.
const HEAD: u64 = 4096;

/// Files below one place, usually the artifacts of one run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    backend: Backend,
    /// What it holds for is encrypted on the way in, and has to be on the way out.
    encryption: Option<Encryption>,
}

#[derive(Debug, Clone)]
struct Encryption {
    keys: ScopedKeyring,
    /// The folder that it holds for; `None`: everything.
    folder: Option<String>,
}

#[derive(Debug, Clone)]
enum Backend {
    Local(LocalStore),
    Remote(RemoteStore),
    Proxied(ProxiedStore),
}

impl ArtifactStore {
    /// The store that a URI or path names: `/path`, `file:///path`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`,
    /// `abfss://container@account.dfs.core.windows.net/prefix`, `wasbs://…`. Credentials and endpoints come from the usual environment
    /// variables. Nothing is asked or created yet.
    ///
    /// # Errors
    /// [`StorageError::Uri`] where it names none, or the environment's settings do not fit.
    pub fn open(uri: &str) -> Result<Self, StorageError> {
        Self::open_with(uri, environment())
    }

    /// As [`open`](Self::open), with these variables in place of the environment's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        uri: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StorageError> {
        let backend = match Location::parse(uri)? {
            Location::Folder(path) => Backend::Local(LocalStore::new(path)),
            Location::Objects { bucket, prefix } => {
                let variables = variables.into_iter().collect();
                Backend::Remote(RemoteStore::connect(uri, &bucket, prefix, &variables)?)
            }
        };
        Ok(Self { backend, encryption: None })
    }

    /// The store over a folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { backend: Backend::Local(LocalStore::new(folder)), encryption: None }
    }

    /// The store of what a server hands through.
    #[must_use]
    pub fn proxied(proxy: Arc<dyn ArtifactProxy>) -> Self {
        Self { backend: Backend::Proxied(ProxiedStore(proxy)), encryption: None }
    }

    /// A store that is gone with its last clone.
    #[must_use]
    pub fn memory() -> Self {
        Self { backend: Backend::Remote(RemoteStore::memory()), encryption: None }
    }

    /// The same store, with everything in it encrypted under `keys`, whose scope says what the files belong to: for artifacts the
    /// run's id. A file of another scope is refused, as one under another name is.
    #[must_use]
    pub fn encrypted(self, keys: ScopedKeyring) -> Self {
        Self { encryption: Some(Encryption { keys, folder: None }), ..self }
    }

    /// As [`encrypted`](Self::encrypted), for what lies in `folder`; the rest is plain.
    #[must_use]
    pub fn encrypted_in(self, folder: &str, keys: ScopedKeyring) -> Self {
        Self { encryption: Some(Encryption { keys, folder: Some(folder.to_owned()) }), ..self }
    }

    /// What `name` is encrypted under.
    fn keys_of(&self, name: &str) -> Option<&ScopedKeyring> {
        let Encryption { keys, folder } = self.encryption.as_ref()?;
        let lies_in =
            |folder: &String| name.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'));
        folder.as_ref().is_none_or(lies_in).then_some(keys)
    }

    /// The store of what lies below `folder`, not encrypted.
    ///
    /// # Errors
    /// A bad name, a link out of the folder.
    pub fn below(&self, folder: &str) -> Result<Self, StorageError> {
        let backend = match &self.backend {
            Backend::Local(store) => Backend::Local(LocalStore::new(store.path_of(folder)?)),
            Backend::Remote(store) => Backend::Remote(store.within(folder)?),
            Backend::Proxied(store) => {
                let reason = "what a server hands through is no place of artifacts of its own".to_owned();
                return Err(StorageError::Uri { uri: store.uri_of(folder), reason });
            }
        };
        Ok(Self { backend, encryption: None })
    }

    /// The store's folder, where it is one of this machine.
    #[must_use]
    pub fn local(&self) -> Option<&LocalStore> {
        match &self.backend {
            Backend::Local(store) => Some(store),
            Backend::Remote(_) | Backend::Proxied(_) => None,
        }
    }

    /// Its URI, or path.
    #[must_use]
    pub fn uri(&self) -> String {
        match &self.backend {
            Backend::Local(store) => store.root().display().to_string(),
            Backend::Remote(store) => store.uri().to_owned(),
            Backend::Proxied(store) => store.uri_of(""),
        }
    }

    /// Begins to write `name`, in place of what is there.
    ///
    /// # Errors
    /// A bad name, a link out of the folder, a folder that cannot be written to.
    pub fn create(&self, name: &str) -> Result<ArtifactWriter, StorageError> {
        let stored = match &self.backend {
            Backend::Local(store) => Stored::Local(store.create(name)?),
            Backend::Remote(store) => Stored::Remote(store.create(name)?),
            Backend::Proxied(store) => Stored::Proxied(store.create(name)?),
        };
        Ok(match self.keys_of(name) {
            None => ArtifactWriter::plain(stored),
            Some(keys) => ArtifactWriter::encrypted(stored.path(), keys.encrypt(name, stored)?),
        })
    }

    /// Writes `bytes` under `name`, in place of what was there: all of them, or none.
    ///
    /// # Errors
    /// A bad name, a link out of the folder, a full disk, a store that cannot be written to or reached.
    pub fn put_bytes(&self, name: &str, bytes: &[u8]) -> Result<Artifact, StorageError> {
        self.put_reader(name, bytes)
    }

    /// Copies the file `source` under `name`, in place of what was there: all of it, or nothing.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes), and where `source` cannot be read.
    pub fn put_file(&self, name: &str, source: &Path) -> Result<Artifact, StorageError> {
        let file =
            File::open(source).map_err(|error| StorageError::on_read(source, "open the file", error))?;
        let is_folder = file.metadata().map(|metadata| metadata.is_dir());
        if is_folder.map_err(|error| StorageError::on_read(source, "read the file", error))? {
            return Err(StorageError::Type {
                path: source.to_path_buf(),
                found: "a folder",
                expected: "a file",
            });
        }
        match (&self.backend, self.keys_of(name)) {
            (Backend::Remote(store), None) => store.put_file(name, source),
            (Backend::Proxied(store), None) => store.put_file(name, source),
            _ => self.put_reader(name, file),
        }
    }

    /// Writes all that `content` yields under `name`, in place of what was there: all of it, or nothing.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes), and where `content` fails.
    pub fn put_reader(&self, name: &str, content: impl Read) -> Result<Artifact, StorageError> {
        let mut writer = self.create(name)?;
        writer.copy_from(content)?;
        writer.finish()
    }

    /// Opens `name` for reading; what is read is decrypted.
    ///
    /// # Errors
    /// A bad name, a link out of the folder, an absent file, a folder in its place, an encrypted file that no key opens.
    pub fn reader(&self, name: &str) -> Result<ArtifactReader, StorageError> {
        let stored = self.stored(name)?;
        Ok(match self.keys_of(name) {
            None => ArtifactReader::plain(stored),
            Some(keys) => ArtifactReader::encrypted(stored, name, keys, &self.path_for_messages(name))?,
        })
    }

    fn stored(&self, name: &str) -> Result<StoredReader, StorageError> {
        Ok(match &self.backend {
            Backend::Local(store) => StoredReader::Local(store.open(name)?),
            Backend::Remote(store) => StoredReader::Remote(store.open(name)?),
            Backend::Proxied(store) => StoredReader::Proxied(store.open(name)?),
        })
    }

    /// Copies `name` to the file `target`, in one step, and returns its length.
    ///
    /// # Errors
    /// As [`reader`](Self::reader), and where `target` cannot be written.
    pub fn get_file(&self, name: &str, target: &Path) -> Result<u64, StorageError> {
        let reader = self.reader(name)?;
        let folder =
            target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        local::create_folders(folder)
            .map_err(|error| StorageError::on_write(folder, "create the folder", error))?;
        let mut file = local::unfinished_file(folder)?;
        let size = reader.copy_to(self.path_for_messages(name).as_ref(), file.as_file_mut())?;
        let kept = file.as_file().sync_all().and_then(|()| file.persist(target).map_err(|error| error.error));
        kept.map_err(|error| StorageError::on_write(target, "write the file", error))?;
        Ok(size)
    }

    /// As [`LocalStore::resolve`]; object stores have no links.
    ///
    /// # Errors
    /// As [`LocalStore::resolve`].
    pub fn resolve(&self, name: &str) -> Result<String, StorageError> {
        self.local().map_or_else(|| Ok(name.to_owned()), |local| local.resolve(name))
    }

    /// What is stored as `name`, with its digest.
    ///
    /// # Errors
    /// As [`reader`](Self::reader).
    pub fn info(&self, name: &str) -> Result<Artifact, StorageError> {
        match &self.backend {
            Backend::Local(store) => store.info(name),
            Backend::Remote(store) => store.info(name),
            Backend::Proxied(store) => store.info(name),
        }
    }

    /// Length of the content of `name` in bytes: that of an encrypted file is what the file says, and is true if it can be read to its
    /// end. In an object store an encrypted file's first bytes are fetched for it.
    ///
    /// # Errors
    /// As [`reader`](Self::reader).
    pub fn content_size(&self, name: &str) -> Result<u64, StorageError> {
        let keys = self.keys_of(name);
        let (head, size) = match &self.backend {
            Backend::Local(store) => store.begin(name, if keys.is_some() { HEAD } else { 0 })?,
            Backend::Remote(store) if keys.is_some() => store.begin(name, HEAD)?,
            Backend::Proxied(store) if keys.is_some() => store.begin(name, HEAD)?,
            Backend::Remote(_) | Backend::Proxied(_) => return Ok(self.info(name)?.size),
        };
        // Where it is not encrypted, whoever reads it is told.
        Ok(keys.and_then(|keys| keys.content_length(name, &head, size)).unwrap_or(size))
    }

    /// What lies directly in `folder` (`""` for the top). Links and unfinished files are left out. An absent store is empty.
    ///
    /// # Errors
    /// A bad name, an absent folder below the top, a file in its place, a store that cannot be read.
    pub fn list(&self, folder: &str) -> Result<Listing, StorageError> {
        match &self.backend {
            Backend::Local(store) => store.list(folder),
            Backend::Remote(store) => store.list(folder),
            Backend::Proxied(store) => store.list(folder),
        }
    }

    /// All files at any depth, sorted by name.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn files(&self) -> Result<Vec<Artifact>, StorageError> {
        match &self.backend {
            Backend::Local(store) => store.files(),
            Backend::Remote(store) => store.files(),
            Backend::Proxied(store) => store.files(),
        }
    }

    /// Reads all of `name`, holds it against its recorded digest, and decrypts it where the store is encrypted. Returns the digest;
    /// `None` where none was recorded.
    ///
    /// # Errors
    /// [`StorageError::Digest`] where the digests differ, [`StorageError::Encryption`] where the file is not authentic; else as
    /// [`reader`](Self::reader).
    pub fn verify(&self, name: &str) -> Result<Option<String>, StorageError> {
        let expected = self.info(name)?.digest;
        let path = PathBuf::from(self.path_for_messages(name));
        let mut hasher = blake3::Hasher::new();
        ArtifactReader::plain(self.stored(name)?).copy_to(&path, &mut hasher)?;
        let found = hasher.finalize().to_hex().to_string();
        if let Some(expected) = expected.as_ref().filter(|expected| **expected != found) {
            return Err(StorageError::Digest { path, expected: expected.clone(), found });
        }
        if self.keys_of(name).is_some() {
            self.reader(name)?.copy_to(&path, std::io::sink())?;
        }
        Ok(expected)
    }

    /// Removes the file `name`, or all that is in the folder `name`.
    ///
    /// # Errors
    /// A bad name, a link out of the folder, nothing there, a store that cannot be written to.
    pub fn delete(&self, name: &str) -> Result<(), StorageError> {
        match &self.backend {
            Backend::Local(store) => store.delete(name),
            Backend::Remote(store) => store.delete(name),
            Backend::Proxied(store) => store.delete(name),
        }
    }

    /// Removes everything. An absent store is fine.
    ///
    /// # Errors
    /// A store that cannot be written to.
    pub fn delete_all(&self) -> Result<(), StorageError> {
        match &self.backend {
            Backend::Local(store) => store.delete_all(),
            Backend::Remote(store) => store.delete_all(),
            Backend::Proxied(store) => store.delete_all(),
        }
    }

    fn path_for_messages(&self, name: &str) -> String {
        match &self.backend {
            Backend::Local(store) => store.root().join(name).display().to_string(),
            Backend::Remote(store) => store.uri_of(name),
            Backend::Proxied(store) => store.uri_of(name),
        }
    }
}
