//! What a checkpoint is made of: format, version, and the digest of each file.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::files::Files;
use super::{MODEL_FILE, OPTIMIZER_FILE, STATE_FILE};
use crate::{Error, Result};

const FORMAT: &str = "fulmen-checkpoint";
const VERSION: u32 = 1;
pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    version: u32,
    pub(super) files: BTreeMap<String, FileDigest>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileDigest {
    bytes: u64,
    blake3: String,
}

impl Manifest {
    pub(super) fn new(files: BTreeMap<String, FileDigest>) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, files }
    }

    /// Reads the manifest of the checkpoint in `folder`, and refuses one that cannot be of Fulmen's making.
    pub(super) fn read(checkpoint: &Files) -> Result<Self> {
        let folder = checkpoint.folder();
        let refuse = |message: String| Err(Error::checkpoint(folder, message));
        if !folder.is_dir() {
            return refuse("there is no such checkpoint folder".to_owned());
        }
        if !checkpoint.path(MANIFEST).is_file() {
            return refuse(format!("is no checkpoint of Fulmen: it has no {MANIFEST}"));
        }
        let text = checkpoint.read(MANIFEST)?;
        let manifest: Self = match serde_json::from_slice(&text) {
            Ok(manifest) => manifest,
            Err(error) => {
                return refuse(format!(
                    "is no checkpoint of Fulmen: its {MANIFEST} cannot be read ({error})"
                ));
            }
        };
        let Self { format, version, files } = &manifest;
        if format != FORMAT {
            return refuse(format!("is no checkpoint of Fulmen: its format is '{format}'"));
        }
        if *version > VERSION {
            return refuse(format!(
                "is of version {version}, this program reads up to {VERSION}: use a newer Fulmen"
            ));
        }
        if let Some(name) = files.keys().find(|name| !is_plain(name)) {
            return refuse(format!(
                "its {MANIFEST} names '{name}', which is no file of its folder: do not use it"
            ));
        }
        if let Some(name) =
            [MODEL_FILE, OPTIMIZER_FILE, STATE_FILE].iter().find(|name| !files.contains_key(**name))
        {
            return refuse(format!("its {MANIFEST} does not name {name}: use another checkpoint"));
        }
        Ok(manifest)
    }

    /// Holds each file against its digest.
    pub(super) fn check(&self, checkpoint: &Files) -> Result<()> {
        for (name, expected) in &self.files {
            let path = checkpoint.path(name);
            let found = checkpoint.digest(name)?;
            if found.bytes != expected.bytes {
                let message = format!(
                    "is {} bytes long, not {}: it was cut short or changed; use another checkpoint",
                    found.bytes, expected.bytes
                );
                return Err(Error::checkpoint(path, message));
            }
            if found.blake3 != expected.blake3 {
                let message = "does not have the digest that was saved with it: it was changed or damaged; use another checkpoint";
                return Err(Error::checkpoint(path, message));
            }
        }
        Ok(())
    }
}

/// Whether it names an entry of the folder itself: no `..`, no path.
pub(super) fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}

/// A writer that knows the digest of what went through it.
#[derive(Debug)]
pub(super) struct Digesting<W> {
    out: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Digesting<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    pub(super) fn finish(self) -> FileDigest {
        self.into_parts().1
    }

    /// The writer below, and the digest.
    pub(super) fn into_parts(self) -> (W, FileDigest) {
        let blake3 = self.hasher.finalize().to_hex().to_string();
        (self.out, FileDigest { bytes: self.bytes, blake3 })
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.out.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_folder_itself_are_plain() {
        assert!(is_plain("model.safetensors") && is_plain("epoch=1-step=2"));
        for name in ["", ".", "..", "/etc/passwd", "../a", "a/b", "a/", "./a"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
