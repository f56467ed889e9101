//! The configuration tree that ships inside the program, and the user's own beside it.

use std::env;
use std::path::{Path, PathBuf};

use fulmen_configuration::ConfigSource;
use fulmen_configuration::info;
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

/// Every config group with its options, as Hydra's help lists them; none where no configuration composes.
pub(crate) fn groups_help() -> Option<String> {
    let config_dir = env::var_os("FULMEN_CONFIG_DIR").map(PathBuf::from);
    let source = source(&SourceArguments { config_dir, config_name: "config".to_owned() }).ok()?;
    let composer = source.composer();
    let none: [&str; 0] = [];
    let config = composer.compose(source.config_name.as_str(), &none).ok()?;
    let groups =
        info::groups(&composer, &config).into_iter().filter(|(group, _)| !group.starts_with("hydra"));
    let lines: String =
        groups.map(|(group, options)| format!("  {group}: {}\n", options.join(", "))).collect();
    Some(format!(
        "Configuration groups:\n{lines}\nEverything else: `fulmen train --cfg job` prints all that can be overridden."
    ))
}
