//! What published sets of images have in common: a folder, mirrors, a part held out for validation.

use std::env;
use std::path::{Path, PathBuf};

use fulmen_base::{Error, Progress, Result};
use fulmen_registry::Component;
use schemars::JsonSchema;
use serde::Deserialize;

use super::cache_folder::dataset_folder;
use super::download::{self, RemoteFile};
use crate::transforms::TransformKind;

/// Settings of a published set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct PublishedSetConfig {
    /// Folder of the set's files. Left out or null: a folder in the cache, `$FULMEN_CACHE/datasets` or `~/.cache/fulmen/datasets`.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// Whether files that are missing are fetched.
    #[serde(default = "yes")]
    pub download: bool,
    /// Where files are fetched from: the beginnings of URLs, tried in order. Left out or null: the set's own places. The
    /// environment variable `FULMEN_MIRROR_<NAME>` (`FULMEN_MIRROR_MNIST=https://a/b,https://c/d`) goes before both.
    #[serde(default)]
    pub mirrors: Option<Vec<String>>,
    /// Training images held out for validation: below 1 a share, else a number.
    #[serde(default = "default_val_split")]
    #[schemars(range(min = 0.0))]
    pub val_split: f64,
    /// Decides which images are held out; the run's seed does not, so that runs compare.
    #[serde(default)]
    pub split_seed: u64,
    /// What is done to each image. Left out or null: normalised by the set's own mean and deviation.
    #[serde(default)]
    pub transforms: Option<Vec<Component<TransformKind>>>,
    /// What is done to training images before.
    #[serde(default)]
    pub augmentations: Vec<Component<TransformKind>>,
}

const fn yes() -> bool {
    true
}

const fn default_val_split() -> f64 {
    5000.0
}

/// A set as it is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    /// Name of its folder in the cache; in capitals, of its environment variable.
    pub(crate) name: &'static str,
    /// Where it lies.
    pub(crate) mirrors: &'static [&'static str],
}

impl Published {
    /// Where its files are or are to be.
    pub(crate) fn folder(self, config: &PublishedSetConfig) -> Result<PathBuf> {
        dataset_folder(config.root.as_deref(), self.name)
    }

    /// Fetches `files` into `folder`.
    pub(crate) fn fetch(
        self,
        files: &[RemoteFile],
        folder: &Path,
        config: &PublishedSetConfig,
        progress: &Progress<'_>,
    ) -> Result<()> {
        let names: Vec<_> = files.iter().map(|file| file.name).collect();
        let way_out = format!(
            "put {} there by hand, or set dataset.root to the folder that has them",
            names.join(", ")
        );
        if !config.download {
            return Err(Error::data(
                folder,
                format!("does not have the files of {}, and dataset.download is false: {way_out}", self.name),
            ));
        }
        let mirrors = self.mirrors(config);
        files.iter().try_for_each(|file| download::fetch(file, &mirrors, folder, &way_out, progress))
    }

    fn mirrors(self, config: &PublishedSetConfig) -> Vec<String> {
        let variable = env::var(format!("FULMEN_MIRROR_{}", self.name.to_uppercase())).unwrap_or_default();
        let from_variable: Vec<String> =
            variable.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect();
        if from_variable.is_empty() {
            config.mirrors.clone().unwrap_or_else(|| self.mirrors.iter().map(|&url| url.to_owned()).collect())
        } else {
            from_variable
        }
    }
}
