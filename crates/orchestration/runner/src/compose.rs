//! From a command line to a composed and resolved configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use fulmen_configuration::info::{self, Part};
use fulmen_configuration::{Composer, Config, ConfigError, ConfigSource, SearchPath};
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
    /// The overrides of the command line.
    pub overrides: Vec<String>,
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
        Composed::of(config, overrides)
    }
}

impl Composed {
    /// Resolves what was composed of `overrides`.
    ///
    /// # Errors
    /// As [`Source::compose`].
    pub fn of(config: Config, overrides: &[String]) -> Result<Self, ConfigError> {
        Ok(Self { resolved: config.resolve()?, config, overrides: overrides.to_vec() })
    }

    /// What Hydra writes beside a job: `.hydra/config.yaml`, `overrides.yaml`, `hydra.yaml`.
    ///
    /// # Errors
    /// When an interpolation in the `hydra` node cannot be shown.
    pub fn files(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let overrides = self
            .overrides
            .iter()
            .map(|text| format!("- {}\n", serde_json::Value::from(text.as_str())))
            .collect::<String>();
        Ok(vec![
            (".hydra/config.yaml".to_owned(), self.config.to_yaml()),
            (
                ".hydra/overrides.yaml".to_owned(),
                if overrides.is_empty() { "[]\n".to_owned() } else { overrides },
            ),
            (".hydra/hydra.yaml".to_owned(), info::show_config(&self.config, Part::Hydra, None, false)?),
        ])
    }
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
    Ok(Composed::of(composer.compose("config", overrides)?, overrides)?)
}
