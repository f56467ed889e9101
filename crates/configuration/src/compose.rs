//! Composition: from a search path, a config's name and overrides to one tree.

mod apply;
mod job;

pub(crate) use job::set as set_hydra;

use std::borrow::Cow;
use std::path::PathBuf;

use crate::config::Config;
use crate::defaults::{Choices, Naming, ResultDefault, expand};
use crate::error::{ConfigError, Result, fail};
use crate::hydra;
use crate::interpolation::{Cursor, Evaluator, Resolvers, Selected};
use crate::merge::{Update, merge, update};
use crate::origin::Origin;
use crate::overrides::{Override, Sweep, parse_all};
use crate::repository::Repository;
use crate::source::{ConfigSource, SearchPath, SearchPathEntry};
use crate::value::{Flags, Node, Value};

/// Whether one job is composed, or the frame of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMode {
    /// One job: sweeps are errors.
    Run,
    /// Many jobs: sweeps are left out, unset choices are allowed.
    Multirun,
}

/// Composes configurations from a search path.
#[derive(Debug, Clone)]
pub struct Composer {
    search_path: SearchPath,
    job_name: String,
    version_base: String,
    resolvers: Resolvers,
}

impl Composer {
    /// A composer for a search path.
    pub fn new(search_path: SearchPath) -> Self {
        let resolvers = Resolvers::default();
        Self { search_path, job_name: "app".into(), version_base: "1.3".into(), resolvers }
    }

    /// Sets `hydra.job.name`, where no config sets it.
    #[must_use]
    pub fn with_job_name(mut self, name: impl Into<String>) -> Self {
        self.job_name = name.into();
        self
    }

    /// Sets the version of Hydra whose older rules hold: below `1.2`, `_group_` and `_name_` in packages.
    #[must_use]
    pub fn with_version_base(mut self, version: impl Into<String>) -> Self {
        self.version_base = version.into();
        self
    }

    /// Sets the resolvers that interpolations may call.
    #[must_use]
    pub fn with_resolvers(mut self, resolvers: Resolvers) -> Self {
        self.resolvers = resolvers;
        self
    }

    /// The search path, without Hydra's own configs and without `hydra.searchpath`.
    pub fn search_path(&self) -> &SearchPath {
        &self.search_path
    }

    /// Composes one configuration. No name gives an empty primary config.
    ///
    /// # Errors
    /// Whatever is wrong with a file, a defaults list or an override, with its place.
    pub fn compose<'n, S: AsRef<str>>(
        &self,
        config_name: impl Into<Option<&'n str>>,
        overrides: &[S],
    ) -> Result<Config> {
        self.compose_in_mode(config_name.into(), overrides, RunMode::Run)
    }

    /// Composes in a mode: `Multirun` gives the frame of a sweep.
    ///
    /// # Errors
    /// As `compose`.
    pub fn compose_in_mode<S: AsRef<str>>(
        &self,
        config_name: Option<&str>,
        overrides: &[S],
        mode: RunMode,
    ) -> Result<Config> {
        let naming = self.naming();
        let mut repository = self.repository();
        let parsed = parse_all(overrides)?;
        let warnings = self.extend_search_path(&mut repository, config_name, &parsed)?;
        check_sweeps(&parsed, mode)?;
        let (mut choices, values) = Choices::from_command_line(&repository, &parsed, naming)?;
        let tree = expand(
            &mut repository,
            &self.resolvers,
            config_name,
            &mut choices,
            mode == RunMode::Multirun,
            naming,
        )?;
        let defaults = tree.flatten()?;
        choices.check_used()?;
        let mut whole = self.merge_defaults(&mut repository, &defaults)?;
        whole.flags = Flags { closed: Some(true), readonly: None };
        for index in values {
            apply::apply(&mut whole, &parsed[index], index, &self.resolvers)?;
        }
        let known = std::mem::take(&mut choices.known);
        job::fill(self, &mut whole, &parsed, config_name, &known, repository.entries())?;
        let hydra = whole.as_map_mut().and_then(|map| map.shift_remove("hydra"));
        let hydra = hydra.unwrap_or_else(|| Node::empty_map(Origin::Builtin));
        Ok(Config {
            root: whole,
            hydra,
            defaults,
            tree,
            choices: known,
            sources: repository.entries().to_vec(),
            warnings,
            resolvers: self.resolvers.clone(),
        })
    }

    fn naming(&self) -> Naming {
        if matches!(self.version_base.as_str(), "1.0" | "1.1") { Naming::Legacy } else { Naming::Current }
    }

    /// The files of Hydra's own tree, then those of the search path.
    pub(crate) fn repository(&self) -> Repository {
        let mut path = SearchPath::new().with("hydra", hydra::builtin_source());
        for entry in self.search_path.entries() {
            path.push(&entry.provider, entry.source.clone());
        }
        Repository::new(path, self.naming())
    }

    /// Adds the roots of `hydra.searchpath`, which the command line or the primary config may set.
    pub(crate) fn extend_search_path(
        &self,
        repository: &mut Repository,
        config_name: Option<&str>,
        overrides: &[Override],
    ) -> Result<Vec<String>> {
        let primary = config_name.map(|name| repository.load(name)).transpose()?.flatten();
        if let Some(primary) = &primary
            && !matches!(primary.config.value, Value::Map(_))
        {
            return Err(fail!(
                Composition,
                "the primary config must be a mapping, not {}",
                primary.config.type_name()
            )
            .or_at(&primary.config.origin));
        }
        let from_command_line =
            overrides.iter().enumerate().find(|(_, item)| item.key_element() == "hydra.searchpath");
        let mut found = None;
        if let Some((index, item)) = from_command_line
            && let Some(value) = &item.value
        {
            let origin = Origin::Override { index, text: item.text.clone(), column: 1 };
            let node = value.to_node(&origin)?;
            found = (!node.is_null()).then_some((node, "hydra.searchpath in command-line"));
        }
        if let (None, Some(primary)) = (&found, &primary) {
            let evaluator = Evaluator::new(&self.resolvers, None);
            let cursor = Cursor::root(&primary.config);
            if let Selected::Found(target) = evaluator.select_from(&cursor, "hydra.searchpath", false)? {
                let node = evaluator.resolve_target(&target)?;
                found = (!node.is_null() && !node.is_missing()).then_some((node, "hydra.searchpath in main"));
            }
        }
        let Some((list, provider)) = found else { return Ok(Vec::new()) };
        let wrong = |node: &Node| {
            fail!(SearchPath, "hydra.searchpath must be a list of paths, found {}", node.type_name())
                .or_at(&list.origin)
                .with_help("write hydra.searchpath=[path/to/folder]")
        };
        let items = list.as_list().ok_or_else(|| wrong(&list))?;
        let mut warnings = Vec::new();
        let mut entries = Vec::new();
        for item in items {
            let path = item.as_str().ok_or_else(|| wrong(item))?;
            let source = match path.split_once("://") {
                None => Some(ConfigSource::Folder(PathBuf::from(path))),
                Some(("file", path)) => Some(ConfigSource::Folder(PathBuf::from(path))),
                Some(_) => None,
            };
            match source.filter(ConfigSource::is_available) {
                Some(source) => entries.push(SearchPathEntry { provider: provider.into(), source }),
                None => warnings.push(format!("provider={provider}, path={path} is not available")),
            }
        }
        repository.extend(entries);
        Ok(warnings)
    }

    fn merge_defaults(&self, repository: &mut Repository, defaults: &[ResultDefault]) -> Result<Node> {
        let mut whole = Node::empty_map(Origin::Builtin);
        for step in defaults {
            let Some(loaded) = repository.load(&step.config)? else { continue };
            let mut config = self.embed(loaded.config.clone(), &step.package)?;
            if config.origin == Origin::Builtin {
                config.origin = loaded.config.origin.clone();
            }
            if let Some(hydra_node) = config.as_map_mut().and_then(|map| map.get_mut("hydra")) {
                if !step.primary && step.config != "hydra/config" && is_set(hydra_node, "searchpath") {
                    return Err(fail!(
                        SearchPath,
                        "'{}' sets hydra.searchpath, which only the primary config may",
                        step.config
                    )
                    .or_at(&hydra_node.origin));
                }
                hydra::conform(hydra_node).map_err(|error| in_config(error, step))?;
            }
            merge(&mut whole, config, &self.resolvers).map_err(|error| in_config(error, step))?;
        }
        Ok(whole)
    }

    /// Puts a config under its package.
    fn embed(&self, config: Node, package: &str) -> Result<Node> {
        if package.is_empty() {
            return Ok(config);
        }
        let mut outer = Node::empty_map(config.origin.clone());
        update(&mut outer, package, config, Update::default(), &self.resolvers)?;
        Ok(outer)
    }
}

fn is_set(hydra: &Node, key: &str) -> bool {
    hydra.get(key).is_some_and(|node| !node.is_null() && !node.is_missing())
}

/// A type error of a merge is an error of the composition, in the config that brought it.
fn in_config(error: ConfigError, step: &ResultDefault) -> ConfigError {
    let error = match error {
        ConfigError::Type(report) => ConfigError::Merge(report),
        other => other,
    };
    error.in_context(format_args!("in '{}'", step.config))
}

fn check_sweeps(overrides: &[Override], mode: RunMode) -> Result<()> {
    for (index, item) in overrides.iter().enumerate() {
        let Some(sweep) = item.sweep() else { continue };
        let origin = Origin::Override { index, text: item.text.clone(), column: 1 };
        let error = match mode {
            RunMode::Multirun if item.is_hydra() => {
                fail!(SweepNotAllowed, "a sweep over Hydra's own settings is not possible: '{}'", item.key)
            }
            RunMode::Multirun => continue,
            RunMode::Run => {
                let (key, value) = item.text.split_once('=').unwrap_or((&item.text, ""));
                let simple = matches!(sweep, Sweep::Choice { simple: true, .. });
                let help: Cow<'_, str> = if simple {
                    format!("for a list write {key}=[{value}], for a text \"{key}='{value}'\", for one job each add --multirun").into()
                } else {
                    "add --multirun".into()
                };
                fail!(SweepNotAllowed, "'{}' is several values, and one job is to run", item.text)
                    .with_help(help)
            }
        };
        return Err(error.at(origin));
    }
    Ok(())
}
