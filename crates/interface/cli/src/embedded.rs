//! The configuration tree that ships inside the program, and the user's own beside it.

use std::path::{Path, PathBuf};

use fulmen_configuration::ConfigSource;
use fulmen_runner::Source;
use include_dir::{Dir, include_dir};

use crate::arguments::SourceArguments;
use crate::error::CliError;

static CONFIG: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../../config");

/// Where Hydra's users keep their configs.
const OWN_FOLDER: &str = "conf";

/// The user's own folder, then the tree inside the program.
///
/// # Errors
/// When the folder that was asked for is not there.
pub(crate) fn source(arguments: &SourceArguments) -> Result<Source, CliError> {
    let folder = match &arguments.config_dir {
        Some(folder) if !folder.is_dir() => {
            return Err(CliError::usage(format!("--config-dir: there is no folder {}", folder.display())));
        }
        Some(folder) => Some(folder.clone()),
        None => Some(PathBuf::from(OWN_FOLDER)).filter(|folder: &PathBuf| Path::is_dir(folder)),
    };
    Ok(Source {
        embedded: ConfigSource::Embedded(&CONFIG),
        folder,
        config_name: arguments.config_name.clone(),
        job_name: "fulmen".to_owned(),
    })
}
