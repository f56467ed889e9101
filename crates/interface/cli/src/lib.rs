//! The `fulmen` program: composes configurations, starts runs, shows what the store holds.
//!
//! It links no libtorch: it starts in milliseconds and leaves tensors to the worker.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic"))]

mod arguments;
mod commands;
mod display;
mod embedded;
mod error;
mod special;
mod terminal;

use std::env;
use std::panic;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use clap_complete::CompleteEnv;

use arguments::{Arguments, Command};
use error::CliError;

/// The whole program.
pub fn main() -> ExitCode {
    quiet_yaml_parser();
    CompleteEnv::with_factory(Arguments::command).complete();
    let parsed = command().try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output and are no mistake; the rest is bad input.
            let _ = error.print();
            return if error.use_stderr() {
                fulmen_contracts::ExitCode::BadInput.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(arguments) {
        Ok(code) => code.into(),
        Err(error) => {
            display::error::show(&error);
            fulmen_contracts::ExitCode::BadInput.into()
        }
    }
}

/// The YAML parser panics on a few malformed files. The composer catches that and reports the file; the panic's own text
/// would only frighten.
fn quiet_yaml_parser() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        if panicked.location().is_none_or(|place| !place.file().contains("libyaml-safer")) {
            usual(panicked);
        }
    }));
}

/// The command line; asked for help, `train` lists the config groups that there are here, the user's own among them.
fn command() -> clap::Command {
    let command = Arguments::command();
    let asks = env::args().any(|word| word == "--help" || word == "-h");
    match embedded::groups_help().filter(|_| asks) {
        Some(groups) => command.mut_subcommand("train", |train| {
            let examples = train.get_after_help().map(ToString::to_string).unwrap_or_default();
            train.after_help(format!("{examples}\n\n{groups}"))
        }),
        None => command,
    }
}

fn run(arguments: Arguments) -> Result<fulmen_contracts::ExitCode, CliError> {
    match arguments.command {
        Command::Train(train) => commands::train::run(train),
        Command::Validate(evaluate) => commands::evaluate::validate(evaluate),
        Command::Test(evaluate) => commands::evaluate::test(evaluate),
        Command::Predict(predict) => commands::evaluate::predict(predict),
        Command::Runs(runs) => commands::runs::run(runs),
        Command::Experiments(experiments) => commands::experiments::run(experiments),
        Command::Models(models) => commands::models::run(models),
        Command::Sync { store, overrides } => commands::sync::run(&store, &overrides),
        Command::Server(server) => commands::server::run(server),
        Command::Artifacts(artifacts) => commands::artifacts::run(artifacts),
        Command::Cache(cache) => commands::cache::run(cache),
        Command::Keys(keys) => commands::keys::run(keys),
        Command::Components(components) => commands::components::run(components),
        Command::Config(config) => commands::config::run(config),
        Command::Doctor(doctor) => commands::doctor::run(&doctor),
        Command::Completions { shell } => commands::completions::run(shell),
    }
}
