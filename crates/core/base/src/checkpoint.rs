//! Checkpoints: a folder of safetensors and JSON with a checksum manifest, there whole or not at all.
//!
//! ```text
//! checkpoints/epoch=3-step=96/
//! ├── model.safetensors        parameters and buffers, under PyTorch's names
//! ├── optimizer.safetensors    the optimizer's state, as <parameter>.<name>
//! ├── gradients.safetensors    of a window of accumulation that is not at its end
//! ├── metrics.safetensors      what metrics have counted in an epoch that is not at its end
//! ├── callbacks.safetensors    tensors of callbacks, such as averaged weights
//! ├── state.json               how far training had come, and the state of everything else
//! └── manifest.json            format, and the BLAKE3 digest of each file above
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fulmen_torch::tch::Tensor;
use fulmen_utils::atomic::{self, WriteError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::trainer::TrainerState;
use crate::{Error, Result, weights};

const FORMAT: &str = "fulmen-checkpoint";
const VERSION: u32 = 1;
const MANIFEST: &str = "manifest.json";
/// The file of a checkpoint that PyTorch reads as it is.
pub const MODEL_FILE: &str = "model.safetensors";
const OPTIMIZER_FILE: &str = "optimizer.safetensors";
const GRADIENTS_FILE: &str = "gradients.safetensors";
const METRICS_FILE: &str = "metrics.safetensors";
const CALLBACKS_FILE: &str = "callbacks.safetensors";
const STATE_FILE: &str = "state.json";

/// What is saved beside the tensors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SavedState {
    /// How far training had come.
    pub trainer: TrainerState,
    /// The state of each callback, by its name in the config.
    pub callbacks: BTreeMap<String, Value>,
    /// Steps and schedule of each optimizer, by its name.
    #[serde(default)]
    pub schedules: Value,
    /// The loss scale, where the precision has one.
    #[serde(default)]
    pub scaler: Option<Value>,
    /// The latest metrics, as `stage/metric`.
    #[serde(default)]
    pub metrics: BTreeMap<String, Option<f64>>,
    /// What the model's own hook keeps.
    #[serde(default)]
    pub model: Value,
    /// What the data module keeps.
    #[serde(default)]
    pub data: Value,
    /// What bit-equality depends on beside the configuration.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The composed configuration of the run.
    pub config: Value,
}

/// The tensors of a checkpoint, by the file that holds them. A file of none is left out.
#[derive(Debug, Default)]
pub struct Tensors {
    /// Parameters and buffers.
    pub model: Vec<(String, Tensor)>,
    /// The optimizers' state.
    pub optimizer: Vec<(String, Tensor)>,
    /// Gradients of an open window.
    pub gradients: Vec<(String, Tensor)>,
    /// What metrics, and the means of what steps log, have counted.
    pub metrics: Vec<(String, Tensor)>,
    /// Of callbacks, as `<callback>/<name>`.
    pub callbacks: Vec<(String, Tensor)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: String,
    version: u32,
    files: BTreeMap<String, FileDigest>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileDigest {
    bytes: u64,
    blake3: String,
}

/// Saves a checkpoint as the folder `path`.
///
/// It is written beside and renamed into place: a run that is killed meanwhile leaves the others as they were.
///
/// # Errors
/// When the disk is full or the folder may not be written to; nothing is left behind then.
pub fn save(path: &Path, tensors: &Tensors, state: &SavedState) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    atomic::create_folder(parent)?;
    let beside = parent.join(format!(".{}.part", fulmen_utils::ids::short()));
    let written = write_files(&beside, tensors, state).and_then(|()| {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(WriteError::new(path, error).into());
            }
            _ => {}
        }
        fs::rename(&beside, path)
            .and_then(|()| atomic::sync_folder(path))
            .map_err(|error| WriteError::new(path, error).into())
    });
    if written.is_err() {
        // Nothing of use is there; that it cannot be removed either is no second error.
        let _ = fs::remove_dir_all(&beside);
    }
    written
}

fn write_files(folder: &Path, tensors: &Tensors, state: &SavedState) -> Result<()> {
    atomic::create_folder(folder)?;
    let Tensors { model, optimizer, gradients, metrics, callbacks } = tensors;
    let mut files = vec![MODEL_FILE, OPTIMIZER_FILE];
    weights::save(&folder.join(MODEL_FILE), model)?;
    weights::save(&folder.join(OPTIMIZER_FILE), optimizer)?;
    for (name, tensors) in [(GRADIENTS_FILE, gradients), (METRICS_FILE, metrics), (CALLBACKS_FILE, callbacks)]
    {
        if !tensors.is_empty() {
            weights::save(&folder.join(name), tensors)?;
            files.push(name);
        }
    }
    atomic::write(&folder.join(STATE_FILE), &json(state)?)?;
    files.push(STATE_FILE);
    let files = files
        .into_iter()
        .map(|name| Ok((name.to_owned(), digest(&folder.join(name))?)))
        .collect::<Result<_>>()?;
    let manifest = Manifest { format: FORMAT.to_owned(), version: VERSION, files };
    Ok(atomic::write(&folder.join(MANIFEST), &json(&manifest)?)?)
}

/// Makes `alias` (`last`, `best`) point to the checkpoint `name` beside it, in one step.
///
/// # Errors
/// When the folder may not be written to.
pub fn point(folder: &Path, alias: &str, name: &str) -> Result<()> {
    let link = folder.join(alias);
    let beside = folder.join(format!(".{alias}.{}", fulmen_utils::ids::short()));
    std::os::unix::fs::symlink(name, &beside)
        .and_then(|()| fs::rename(&beside, &link))
        .map_err(|error| WriteError::new(&link, error).into())
}

/// A checkpoint whose files are whole.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
}

impl Checkpoint {
    /// Opens the checkpoint in `folder` and holds each file against its digest.
    ///
    /// # Errors
    /// When it is no checkpoint of Fulmen, of a newer version, or a file of it is missing or was changed.
    pub fn open(folder: &Path) -> Result<Self> {
        let refuse = |message: String| Error::checkpoint(folder, message);
        if !folder.is_dir() {
            return Err(refuse("there is no such checkpoint folder".to_owned()));
        }
        let text = fs::read(folder.join(MANIFEST))
            .map_err(|_| refuse(format!("is no checkpoint of Fulmen: it has no {MANIFEST}")))?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
            refuse(format!("is no checkpoint of Fulmen: its {MANIFEST} cannot be read ({error})"))
        })?;
        if manifest.format != FORMAT {
            return Err(refuse(format!("is no checkpoint of Fulmen: its format is '{}'", manifest.format)));
        }
        if manifest.version > VERSION {
            return Err(refuse(format!(
                "is of version {}, this program reads up to {VERSION}: use a newer Fulmen",
                manifest.version
            )));
        }
        for (name, expected) in &manifest.files {
            let path = folder.join(name);
            let found = digest(&path)?;
            if found.bytes != expected.bytes {
                return Err(Error::checkpoint(
                    path,
                    format!(
                        "is {} bytes long, not {}: it was cut short or changed; use another checkpoint",
                        found.bytes, expected.bytes
                    ),
                ));
            }
            if found.blake3 != expected.blake3 {
                return Err(Error::checkpoint(
                    path,
                    "does not have the digest that was saved with it: it was changed or damaged; use another checkpoint",
                ));
            }
        }
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// The file of the model's weights.
    pub fn model_path(&self) -> PathBuf {
        self.folder.join(MODEL_FILE)
    }

    /// The model's parameters and buffers.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn model(&self) -> Result<HashMap<String, Tensor>> {
        weights::load(&self.model_path())
    }

    /// The optimizer's state.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn optimizer(&self) -> Result<HashMap<String, Tensor>> {
        weights::load(&self.folder.join(OPTIMIZER_FILE))
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
        let path = self.folder.join(name);
        if path.is_file() { weights::load(&path) } else { Ok(HashMap::new()) }
    }

    /// What was saved beside the tensors.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn state(&self) -> Result<SavedState> {
        let path = self.folder.join(STATE_FILE);
        let text =
            fs::read(&path).map_err(|error| Error::checkpoint(&path, format!("cannot be read: {error}")))?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::checkpoint(&path, format!("cannot be read: {error}")))
    }
}

fn digest(path: &Path) -> Result<FileDigest> {
    let mut hasher = blake3::Hasher::new();
    let refuse = |error| Error::checkpoint(path, format!("cannot be read: {error}"));
    let mut file = fs::File::open(path).map_err(refuse)?;
    let bytes = std::io::copy(&mut file, &mut hasher).map_err(refuse)?;
    Ok(FileDigest { bytes, blake3: hasher.finalize().to_hex().to_string() })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value)
        .map_err(|error| Error::Torch(format!("state cannot be written as JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fulmen_torch::tch::{Device, Kind};

    fn saved() -> PathBuf {
        let path = tempfile::tempdir().unwrap().keep().join("epoch=0-step=1");
        let weight = vec![("fc.weight".to_owned(), Tensor::randn([4, 4], (Kind::Float, Device::Cpu)))];
        save(&path, &Tensors { model: weight, ..Tensors::default() }, &SavedState::default()).unwrap();
        path
    }

    fn refusal(path: &Path) -> String {
        Checkpoint::open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_saved_checkpoint_opens_and_leaves_nothing_beside() {
        let path = saved();
        assert_eq!(Checkpoint::open(&path).unwrap().model().unwrap()["fc.weight"].size(), [4, 4]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_cut_or_changed_is_named() {
        let path = saved();
        let file = path.join(MODEL_FILE);
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert!(refusal(&path).contains("model.safetensors: does not have the digest"), "{}", refusal(&path));
        bytes.pop();
        fs::write(&file, &bytes).unwrap();
        assert!(refusal(&path).contains("cut short"));
        fs::remove_file(&file).unwrap();
        assert!(refusal(&path).contains("model.safetensors"));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refusal(folder.path()).contains("is no checkpoint of Fulmen"));
        assert!(refusal(Path::new("/no/such")).contains("no such checkpoint"));
        fs::write(
            folder.path().join(MANIFEST),
            r#"{"format": "fulmen-checkpoint", "version": 99, "files": {}}"#,
        )
        .unwrap();
        assert!(refusal(folder.path()).contains("newer Fulmen"));
    }

    #[test]
    fn an_alias_moves_in_one_step() {
        let path = saved();
        let folder = path.parent().unwrap();
        point(folder, "last", "nothing").unwrap();
        point(folder, "last", "epoch=0-step=1").unwrap();
        assert!(Checkpoint::open(&folder.join("last")).is_ok());
    }
}
