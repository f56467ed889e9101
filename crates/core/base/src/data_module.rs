//! Data modules: where samples come from, how they are split, what a batch of them holds.

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_contracts::{Event, Schema, Stage};
use fulmen_registry::{Kind, Registry};
use fulmen_torch::tch::Device;
use fulmen_utils::Address;
use serde_json::Value;

use crate::events::EventSink;
use crate::{Batch, Error, PreparedCache, Result};

/// A part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What is learnt from.
    Train,
    /// What choices are made by.
    Validation,
    /// What is only measured on.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

/// What a data module promises of each batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataSpec {
    /// Tensors of a batch, inputs and targets.
    pub schema: Schema,
    /// Number of values that the target takes, where it is one of several.
    pub num_classes: Option<i64>,
    /// Their names, in order, where they have names.
    pub class_names: Option<Vec<String>>,
}

/// Samples by index.
pub trait Dataset: Debug + Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples `indices` as one batch. Whatever is drawn for sample `i` is drawn at `address.at(i)`, so that it depends
    /// neither on the other samples nor on the thread. Where a sample takes long, such as a file, [`crate::loader::reading`] is
    /// told before each, so that a loader that is stuck can say at what.
    ///
    /// # Errors
    /// When a sample cannot be read: the message names its file.
    fn batch(&self, indices: &[usize], address: Address) -> Result<Batch>;

    /// The class of sample `index`, for samplers that weigh by class; none where samples have no class.
    fn label_of(&self, index: usize) -> Option<i64> {
        let _ = index;
        None
    }

    /// How long sample `index` is, such as in tokens, for samplers that put samples of similar length together; none where
    /// samples have no length.
    fn length_of(&self, index: usize) -> Option<usize> {
        let _ = index;
        None
    }

    /// What sample `index` is to its owner, for messages: the path of its file, where it has one.
    fn describe(&self, index: usize) -> String {
        format!("sample {index}")
    }
}

/// A source of data for all stages.
pub trait DataModule: Debug + Send {
    /// Fetches what is not on this machine yet; called once, before [`Self::setup`].
    ///
    /// # Errors
    /// When it cannot be had, with the way out.
    fn prepare_data(&mut self, progress: &Progress<'_>) -> Result<()> {
        let _ = progress;
        Ok(())
    }

    /// Is handed the cache of prepared data, before [`Self::setup`], where the run has one: what takes long to prepare is kept there.
    fn use_cache(&mut self, cache: Arc<dyn PreparedCache>) {
        let _ = cache;
    }

    /// Opens the data, checks it, splits it.
    ///
    /// # Errors
    /// When a file is missing or malformed: the message names it.
    fn setup(&mut self) -> Result<()>;

    /// What is to be undone when the stage is over.
    ///
    /// # Errors
    /// When it cannot be undone.
    fn teardown(&mut self) -> Result<()> {
        Ok(())
    }

    /// A batch as the loader made it, before it moves to the device.
    ///
    /// # Errors
    /// When the batch cannot be used.
    fn on_before_batch_transfer(&mut self, batch: Batch, stage: Stage) -> Result<Batch> {
        let _ = stage;
        Ok(batch)
    }

    /// Moves a batch to where the model is.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn transfer_batch_to_device(&mut self, batch: Batch, device: Device, stage: Stage) -> Result<Batch> {
        let _ = stage;
        Ok(batch.to_device(device))
    }

    /// A batch where the model is: the place for what is better done there, on whole batches.
    ///
    /// # Errors
    /// When the batch cannot be used.
    fn on_after_batch_transfer(&mut self, batch: Batch, stage: Stage) -> Result<Batch> {
        let _ = stage;
        Ok(batch)
    }

    /// What a checkpoint keeps of it. What is drawn by address needs nothing kept.
    fn state_dict(&self) -> Value {
        Value::Null
    }

    /// Goes on from what a checkpoint kept.
    ///
    /// # Errors
    /// When it was kept by other data.
    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// The run fails with `error`: a last chance to close what is open.
    fn on_exception(&mut self, error: &Error) {
        let _ = error;
    }

    /// What each batch holds; known after [`Self::setup`].
    fn spec(&self) -> DataSpec;

    /// The samples of a split; none where the data has no such split.
    fn dataset(&self, split: Split) -> Option<Arc<dyn Dataset>>;

    /// The user's own files, read as this data is read, and their names, in the order in which predictions are to come.
    ///
    /// # Errors
    /// When a file cannot be read, or predictions from files make no sense for this data.
    fn predict_dataset(&self, input: &Path) -> Result<(Arc<dyn Dataset>, Vec<PathBuf>)>;
}

/// The kind `dataset`: data modules.
#[derive(Debug)]
pub struct DatasetKind;

impl Kind for DatasetKind {
    const NAME: &'static str = "dataset";
    type Product = Box<dyn DataModule>;
    type Context<'context> = DatasetContext<'context>;
}

/// What a data module is built with beyond its settings.
#[derive(Debug, Clone, Copy)]
pub struct DatasetContext<'context> {
    /// For the components in its own settings, such as transforms.
    pub registry: &'context Registry,
    /// The run's seed: splits are drawn from it.
    pub seed: u64,
}

/// Where a data module tells how far a download has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a>(pub(crate) &'a EventSink);

impl<'a> Progress<'a> {
    /// Tells `events`.
    pub const fn new(events: &'a EventSink) -> Self {
        Self(events)
    }

    /// So many bytes of `name` are here, of so many in all where that is known.
    pub fn received(&self, name: &str, received: u64, total: Option<u64>) {
        self.0.send(Event::Download { name: name.to_owned(), received, total });
    }
}
