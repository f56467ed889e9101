//! What the command line shows about a configuration: `--cfg`, `--info`, help and completion.

mod complete;
mod table;

pub use complete::complete;

use crate::compose::Composer;
use crate::config::Config;
use crate::error::{Result, fail};
use crate::source::ConfigSource;
use crate::value::{Key, Map, Node, str_node};
use crate::yaml;

/// Which part of a configuration `--cfg` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The task's configuration.
    Job,
    /// The `hydra` node.
    Hydra,
    /// Both.
    All,
}

/// What `--cfg` prints: the configuration as YAML, or the value at `package`.
///
/// # Errors
/// A package that does not exist, and with `resolve` an interpolation that cannot be resolved.
pub fn show_config(config: &Config, part: Part, package: Option<&str>, resolve: bool) -> Result<String> {
    let shown = match part {
        Part::Job => config.clone(),
        Part::Hydra => Config { root: hydra_only(config), ..config.clone() },
        Part::All => Config { root: config.whole(), ..config.clone() },
    };
    let package = package.filter(|package| *package != "_global_");
    let node = match (package, resolve) {
        (None, false) => shown.root.clone(),
        (None, true) => shown.resolve_leniently("")?.unwrap_or_else(|| shown.root.clone()),
        (Some(key), _) => {
            let found = if resolve { shown.resolve_leniently(key)? } else { shown.follow(key)? };
            found.filter(|node| !node.is_missing() && !node.is_null()).ok_or_else(|| {
                let error = fail!(UnknownKey, "no package '{key}' in the configuration");
                let keys: Vec<_> =
                    shown.root.as_map().into_iter().flatten().map(|(key, _)| key.to_string()).collect();
                error.with_help(format!("there are {}", keys.join(", ")))
            })?
        }
    };
    if !node.is_container() {
        return Ok(str_node(&node) + "\n");
    }
    let header = package.map_or(String::new(), |package| format!("# @package {package}\n"));
    Ok(header + &yaml::to_yaml(&node))
}

/// The `hydra` node without its long help texts, under its key.
fn hydra_only(config: &Config) -> Node {
    let mut hydra = config.hydra.clone();
    if let Some(map) = hydra.as_map_mut() {
        map.shift_remove("hydra_help");
        map.shift_remove("help");
    }
    let mut map = Map::new();
    map.insert(Key::from("hydra"), hydra);
    Node::builtin(map)
}

/// What `--info defaults` prints: the configs in the order of composition.
pub fn defaults_list(config: &Config) -> String {
    let mut rows = vec![["Config path", "Package", "_self_", "Parent"].map(str::to_owned).to_vec()];
    rows.extend(config.defaults.iter().map(|step| {
        let is_self = if step.is_self { "True" } else { "False" };
        vec![step.config.clone(), step.package.clone(), is_self.to_owned(), step.parent.clone()]
    }));
    table::titled("Defaults List", &rows, " ")
}

/// What `--info defaults-tree` prints: the defaults lists inside each other.
pub fn defaults_tree(config: &Config) -> String {
    format!("{}{}", table::title("Defaults Tree"), config.tree.to_text())
}

/// What `--info searchpath` prints: the roots in the order in which they are asked.
pub fn search_path(config: &Config) -> String {
    let mut rows = vec![vec!["Provider".to_owned(), "Search path".to_owned()]];
    let url = |source: &ConfigSource| match source {
        ConfigSource::Folder(path) => {
            format!("file://{}", std::path::absolute(path).unwrap_or_else(|_| path.clone()).display())
        }
        other => other.url(),
    };
    for entry in &config.sources {
        let url = if entry.provider == "hydra" { "pkg://hydra.conf".to_owned() } else { url(&entry.source) };
        rows.push(vec![entry.provider.clone(), url]);
    }
    rows.push(vec!["schema".to_owned(), "structured://".to_owned()]);
    table::titled("Config search path", &rows, "")
}

/// What `--info config` prints: all of the above, and the configuration.
pub fn everything(config: &Config) -> String {
    let parts = [search_path(config), defaults_tree(config), defaults_list(config)];
    format!("{}{}{}\n", parts.concat(), table::heading("Config"), config.to_yaml())
}

/// The application's help: every config group with its options, and the configuration.
///
/// # Errors
/// A search path that cannot be read.
pub fn help(composer: &Composer, config: &Config) -> Result<String> {
    let text = |key: &str| {
        Ok::<_, crate::ConfigError>(config.value(key)?.map_or(String::new(), |node| str_node(&node)))
    };
    let template = text("hydra.help.template")?;
    let groups = groups(composer, config)
        .into_iter()
        .filter(|(group, _)| group != "hydra" && !group.starts_with("hydra/"));
    let listed: String =
        groups.map(|(group, options)| format!("{group}: {}\n", options.join(", "))).collect();
    let filled = template.replace("$APP_CONFIG_GROUPS", &listed).replace("$CONFIG", &config.to_yaml());
    Ok(filled)
}

/// Every config group of a configuration's search path with its options, both sorted.
pub fn groups(composer: &Composer, config: &Config) -> Vec<(String, Vec<String>)> {
    fn walk(
        repository: &crate::repository::Repository,
        parent: &str,
        found: &mut Vec<(String, Vec<String>)>,
    ) {
        for name in repository.groups(parent) {
            let group = if parent.is_empty() { name } else { format!("{parent}/{name}") };
            let options = repository.options(&group);
            if !options.is_empty() {
                found.push((group.clone(), options));
            }
            walk(repository, &group, found);
        }
    }
    let mut repository = composer.repository();
    repository.extend(
        config.sources.iter().filter(|entry| entry.provider.starts_with("hydra.searchpath")).cloned(),
    );
    let mut found = Vec::new();
    walk(&repository, "", &mut found);
    found.sort();
    found
}
