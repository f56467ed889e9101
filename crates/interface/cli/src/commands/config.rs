//! `fulmen config`: the composed configuration.

use std::io;

use fulmen_configuration::batch;
use fulmen_configuration::info::{self, Part};
use fulmen_contracts::ExitCode;
use fulmen_manager::Worker;
use fulmen_runner::check;
use fulmen_utils::atomic::WriteError;

use crate::arguments::{ConfigArguments, ConfigCommand, ConfigPart, InfoPart};
use crate::embedded;
use crate::error::CliError;
use crate::terminal::{GREEN, print, say_json, styled, tell};

/// Shows a configuration, or composes many.
pub(crate) fn run(arguments: ConfigArguments) -> Result<ExitCode, CliError> {
    match arguments.command {
        ConfigCommand::Batch => {
            batch::run(io::stdin().lock(), io::stdout().lock())
                .map_err(|error| WriteError::new("standard output".as_ref(), error))?;
        }
        ConfigCommand::Show { source, cfg, package, resolve, info, check: checks, json, overrides } => {
            let source = embedded::source(&source)?;
            let config = source.composer().compose(source.config_name.as_str(), &overrides)?;
            for warning in config.warnings() {
                tell(warning);
            }
            if checks {
                check(&config.resolve()?, &Worker::find()?.catalog()?)?;
                tell(styled(GREEN, "every component and setting fits"));
            }
            match info {
                Some(part) => print(info_text(&config, part)),
                None if json => say_json(&config.resolve()?.to_json()),
                None => print(info::show_config(&config, part(cfg), package.as_deref(), resolve)?),
            }
        }
    }
    Ok(ExitCode::Success)
}

/// What `--info` prints.
pub(crate) fn info_text(config: &fulmen_configuration::Config, part: InfoPart) -> String {
    match part {
        InfoPart::Defaults => info::defaults_list(config),
        InfoPart::DefaultsTree => info::defaults_tree(config),
        InfoPart::Searchpath => info::search_path(config),
        InfoPart::Config => info::everything(config),
    }
}

/// The library's word for a part.
pub(crate) fn part(part: ConfigPart) -> Part {
    match part {
        ConfigPart::Job => Part::Job,
        ConfigPart::Hydra => Part::Hydra,
        ConfigPart::All => Part::All,
    }
}
