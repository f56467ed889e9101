//! A checkpoint that is read. Nothing in it is ever executed: tensors are numbers and text is JSON, and both are checked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fulmen_encryption::ScopedKeyring;
use fulmen_torch::tch::Tensor;

use super::files::Files;
use super::manifest::Manifest;
use super::{
    CALLBACKS_FILE, GRADIENTS_FILE, METRICS_FILE, MODEL_FILE, OPTIMIZER_FILE, STATE_FILE, SavedState,
};
use crate::{Error, Result, weights};

/// The largest count that a run can have come to: JSON's numbers are exact up to here. More would overflow in training.
const LARGEST_COUNT: u64 = 1 << 53;

/// A checkpoint whose files are whole.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    on_disk: Files,
    /// What the manifest vouches for; whatever else lies in the folder is not looked at.
    files: Vec<String>,
}

impl Checkpoint {
    /// Opens the checkpoint in `folder` and holds each file against its digest. Where there are `keys`, all of it is decrypted,
    /// and a file that is not encrypted is refused.
    ///
    /// # Errors
    /// When it is no checkpoint of Fulmen, of a newer version, a file of it is missing or was changed, or no key opens it.
    pub fn open(folder: &Path, keys: Option<&ScopedKeyring>) -> Result<Self> {
        let on_disk = Files::in_place(folder, keys);
        let manifest = Manifest::read(&on_disk)?;
        manifest.check(&on_disk)?;
        Ok(Self { on_disk, files: manifest.files.into_keys().collect() })
    }

    /// The file of the model's weights.
    pub fn model_path(&self) -> PathBuf {
        self.on_disk.path(MODEL_FILE)
    }

    /// The model's parameters and buffers.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn model(&self) -> Result<HashMap<String, Tensor>> {
        self.tensors(MODEL_FILE)
    }

    /// The optimizer's state.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn optimizer(&self) -> Result<HashMap<String, Tensor>> {
        self.tensors(OPTIMIZER_FILE)
    }

    /// Gradients of an open window, by parameter; none where it was at its end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn gradients(&self) -> Result<HashMap<String, Tensor>> {
        self.if_there(GRADIENTS_FILE)
    }

    /// What metrics had counted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn metrics(&self) -> Result<HashMap<String, Tensor>> {
        self.if_there(METRICS_FILE)
    }

    /// Tensors of callbacks, as `<callback>/<name>`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn callbacks(&self) -> Result<HashMap<String, Tensor>> {
        self.if_there(CALLBACKS_FILE)
    }

    fn if_there(&self, name: &str) -> Result<HashMap<String, Tensor>> {
        if self.files.iter().any(|file| file == name) { self.tensors(name) } else { Ok(HashMap::new()) }
    }

    fn tensors(&self, name: &str) -> Result<HashMap<String, Tensor>> {
        weights::parse(&self.on_disk.path(name), &self.on_disk.read(name)?)
    }

    /// What was saved beside the tensors.
    ///
    /// # Errors
    /// When the file cannot be read, or holds a count that no run comes to.
    pub fn state(&self) -> Result<SavedState> {
        let path = self.on_disk.path(STATE_FILE);
        let refuse = |message: String| Error::checkpoint(&path, message);
        let text = self.on_disk.read(STATE_FILE)?;
        let state: SavedState =
            serde_json::from_slice(&text).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let counts = serde_json::to_value(state.trainer).unwrap_or_default();
        for (name, count) in counts.as_object().into_iter().flatten() {
            if count.as_u64().is_some_and(|count| count > LARGEST_COUNT) {
                return Err(refuse(format!(
                    "trainer.{name} is {count}, which no run comes to; use another checkpoint"
                )));
            }
        }
        Ok(state)
    }
}
