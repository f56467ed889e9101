//! From a command line to a composed and resolved configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use fulmen_configuration::{Composer, Config, ConfigError, ConfigSource, Origin, SearchPath, to_json};
use fulmen_manager::{ManagerError, RunFolder};

use crate::RunnerError;

/// Where configurations come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The tree that ships inside the program.
    pub embedded: ConfigSource,
    /// The user's own folder, searched first.
    pub folder: Option<PathBuf>,
    /// The primary config.
    pub config_name: String,
    /// `hydra.job.name`.
    pub job_name: String,
}

/// A configuration as it is run.
#[derive(Debug, Clone)]
pub struct Composed {
    /// As it was written, interpolations and all.
    pub config: Config,
    /// With every interpolation resolved.
    pub resolved: Config,
    /// Whether it is a job of a sweep.
    pub of_sweep: bool,
}

impl Source {
    /// Composes from the search path.
    pub fn composer(&self) -> Composer {
        let mut path = SearchPath::new();
        if let Some(folder) = &self.folder {
            path.push("command-line", ConfigSource::Folder(folder.clone()));
        }
        path.push("fulmen", self.embedded.clone());
        Composer::new(path).with_job_name(self.job_name.clone())
    }

    /// Composes and resolves one configuration.
    ///
    /// # Errors
    /// Whatever is wrong with a file, a defaults list, an override or an interpolation, with its place.
    pub fn compose(&self, overrides: &[String]) -> Result<Composed, ConfigError> {
        let config = self.composer().compose(self.config_name.as_str(), overrides)?;
        Composed::of(config)
    }
}

impl Composed {
    /// Resolves what was composed.
    ///
    /// # Errors
    /// An interpolation that cannot be resolved, with its place.
    pub fn of(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { resolved: config.resolve()?, config, of_sweep: false })
    }

    /// What Hydra writes beside a job: `.hydra/config.yaml`, `overrides.yaml`, `hydra.yaml`.
    pub fn files(&self) -> Vec<(String, String)> {
        self.config.record().map(|(name, text)| (format!(".hydra/{name}"), text)).into()
    }

    /// Where the user wants that record too, beside the run's own folder: `hydra.run.dir` or, for a job of a sweep,
    /// `hydra.sweep.dir` and `hydra.sweep.subdir`, where they were set.
    ///
    /// # Errors
    /// When such a folder's name cannot be resolved.
    pub fn record_folder(&self) -> Result<Option<PathBuf>, ConfigError> {
        let keys: &[&str] = if self.of_sweep { &["sweep.dir", "sweep.subdir"] } else { &["run.dir"] };
        let is_set =
            |key: &&str| self.config.hydra().select(key).is_some_and(|node| !is_hydras_own(node.origin()));
        if !keys.iter().any(is_set) {
            return Ok(None);
        }
        let mut folder = PathBuf::new();
        for key in keys {
            if let Some(node) = self.config.value(&format!("hydra.{key}"))? {
                // A subdir is often a bare job number.
                let value = to_json(&node);
                folder.push(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        Ok(Some(folder))
    }
}

/// Whether a value stands as Hydra ships it.
fn is_hydras_own(origin: &Origin) -> bool {
    matches!(origin, Origin::Builtin)
        || origin.file_position().is_some_and(|(file, ..)| file == "<embedded>/hydra/config.yaml")
}

/// The configuration that a run was started with, changed by `overrides`.
///
/// # Errors
/// When the run's folder has no configuration, or the overrides do not fit it.
pub fn saved(folder: &RunFolder, overrides: &[String]) -> Result<Composed, RunnerError> {
    let path = folder.config();
    let text = fs::read_to_string(&path).map_err(|source| ManagerError::Read { path, source })?;
    let files = BTreeMap::from([("config.yaml".to_owned(), text)]);
    let composer = Composer::new(SearchPath::new().with("run", ConfigSource::Files(Arc::new(files))));
    Ok(Composed::of(composer.compose("config", overrides)?)?)
}
