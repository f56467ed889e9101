//! Cases that give a whole command line to an application of Hydra.

use serde_json::{Value as Json, json};

use super::cases::resolvers;
use super::texts;
use crate::compose::{Composer, RunMode};
use crate::error::{Result, fail};
use crate::info::{self, Part};
use crate::source::{ConfigSource, SearchPath};

/// The flags of Hydra's command line, as far as they show a configuration.
#[derive(Debug, Default)]
struct Flags {
    config_name: Option<String>,
    config_dir: Option<String>,
    config_path: Option<String>,
    cfg: Option<String>,
    package: Option<String>,
    info: Option<String>,
    resolve: bool,
    run: bool,
    multirun: bool,
    help: bool,
    overrides: Vec<String>,
}

/// The exit status of a command line that cannot be understood.
const USAGE: i32 = 2;

pub(super) fn run(case: &Json) -> Json {
    let (code, stdout, stderr) = match parse(&texts(&case["args"])) {
        Err(message) => (USAGE, String::new(), message),
        Ok(flags) => match execute(case, &flags) {
            Ok(stdout) => (0, stdout, String::new()),
            Err(error) => (1, String::new(), error.to_text()),
        },
    };
    json!({ "exit_code": code, "stdout": stdout, "stderr": stderr })
}

fn parse(args: &[String]) -> std::result::Result<Flags, String> {
    let mut flags = Flags::default();
    let mut args = args.iter().peekable();
    while let Some(arg) = args.next() {
        let (name, attached) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with('-') => (name, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let mut value =
            || attached.clone().or_else(|| args.next().cloned()).ok_or(format!("{name} expects a value"));
        match name {
            "--config-name" | "-cn" => flags.config_name = Some(value()?),
            "--config-dir" | "-cd" => flags.config_dir = Some(value()?),
            "--config-path" | "-cp" => flags.config_path = Some(value()?),
            "--cfg" | "-c" => flags.cfg = Some(chosen(name, value()?, &["job", "hydra", "all"])?),
            "--package" | "-p" => flags.package = Some(value()?),
            "--info" | "-i" => {
                let follows = args.peek().is_some_and(|next| !next.starts_with('-'));
                flags.info =
                    Some(if follows { args.next().cloned().unwrap_or_default() } else { "all".into() });
            }
            "--resolve" => flags.resolve = true,
            "--run" | "-r" => flags.run = true,
            "--multirun" | "-m" => flags.multirun = true,
            "--help" | "-h" => flags.help = true,
            _ if name.starts_with('-') => return Err(format!("unrecognized argument {name}")),
            _ => flags.overrides.push(arg.clone()),
        }
    }
    Ok(flags)
}

/// The value of a flag that takes one of a few words.
fn chosen(name: &str, given: String, choices: &[&str]) -> std::result::Result<String, String> {
    if choices.contains(&&*given) {
        Ok(given)
    } else {
        Err(format!("{name} takes one of {}", choices.join(", ")))
    }
}

fn execute(case: &Json, flags: &Flags) -> Result<String> {
    if flags.resolve && flags.cfg.is_none() && !flags.help {
        return Err(fail!(Value, "--resolve needs --cfg or --help"));
    }
    let commands = [flags.run, flags.cfg.is_some(), flags.multirun, flags.info.is_some()];
    if commands.iter().filter(|given| **given).count() > 1 {
        return Err(fail!(Value, "only one of --run, --multirun, --cfg and --info can be given"));
    }
    let composer = composer(case, flags)?;
    let name = flags.config_name.as_deref().or(case["config_name"].as_str());
    if flags.multirun {
        return run_jobs(&composer, name, &flags.overrides);
    }
    let config = composer.compose_in_mode(name, &flags.overrides, RunMode::Run)?;
    if flags.help {
        return Ok(info::help(&composer, &config)? + "\n");
    }
    if let Some(part) = &flags.cfg {
        let part = match part.as_str() {
            "hydra" => Part::Hydra,
            "all" => Part::All,
            _ => Part::Job,
        };
        return info::show_config(&config, part, flags.package.as_deref(), flags.resolve);
    }
    match flags.info.as_deref() {
        None => Ok(config.resolve()?.to_yaml()),
        Some("defaults") => Ok(info::defaults_list(&config)),
        Some("defaults-tree") => Ok(info::defaults_tree(&config)),
        Some("searchpath") => Ok(info::search_path(&config)),
        Some(_) => Ok(info::everything(&config)),
    }
}

fn composer(case: &Json, flags: &Flags) -> Result<Composer> {
    let tree = format!("trees/{}", case["tree"].as_str().unwrap_or_default());
    let mut path = SearchPath::folder(flags.config_path.clone().unwrap_or(tree));
    if let Some(folder) = &flags.config_dir {
        let source = ConfigSource::Folder(folder.into());
        if !source.is_available() {
            return Err(fail!(SearchPath, "no additional config directory '{folder}'"));
        }
        path.push("command-line", source);
    }
    Ok(Composer::new(path).with_resolvers(resolvers(case)))
}

fn run_jobs(composer: &Composer, name: Option<&str>, overrides: &[String]) -> Result<String> {
    let multirun = composer.multirun(name, overrides)?;
    let job = |index| Ok(composer.compose_job(&multirun, index)?.resolve()?.to_yaml());
    (0..multirun.jobs.len()).map(job).collect()
}
