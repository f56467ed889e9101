//! Fills in what the `hydra` node says of the job: its overrides, choices, name and folders.

use indexmap::IndexMap;

use super::Composer;
use crate::error::{Result, fail};
use crate::hydra::HYDRA_VERSION;
use crate::origin::Origin;
use crate::overrides::Override;
use crate::source::{ConfigSource, SearchPathEntry};
use crate::value::{Key, Map, Node, Value, str_node};

pub(super) fn fill(
    composer: &Composer,
    whole: &mut Node,
    overrides: &[Override],
    config_name: Option<&str>,
    choices: &IndexMap<String, Option<String>>,
    sources: &[SearchPathEntry],
) -> Result<()> {
    let Some(hydra) = whole.child_mut("hydra") else { return Ok(()) };
    let (own, task): (Vec<_>, Vec<_>) = overrides.iter().partition(|item| item.is_hydra());
    for (key, list) in [("hydra", &own), ("task", &task)] {
        if let Some(Value::List(items)) = child(hydra, &["overrides", key]).map(|node| &mut node.value) {
            items.extend(list.iter().map(|item| Node::builtin(&*item.text)));
        }
    }
    if let Some(map) = child(hydra, &["runtime", "choices"]).and_then(Node::as_map_mut) {
        for (key, name) in choices {
            map.insert(
                Key::from(key.as_str()),
                Node::builtin(name.as_deref().map_or(Value::Null, Value::from)),
            );
        }
    }
    copy_environment(composer, hydra)?;
    let cwd = std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default();
    set(hydra, &["runtime", "version"], HYDRA_VERSION.into());
    set(hydra, &["runtime", "version_base"], composer.version_base.as_str().into());
    set(hydra, &["runtime", "cwd"], cwd.into());
    set(hydra, &["runtime", "config_sources"], source_list(sources));
    if child(hydra, &["job", "name"]).is_none_or(|name| name.is_missing()) {
        set(hydra, &["job", "name"], composer.job_name.as_str().into());
    }
    let dirname = override_dirname(hydra, &task);
    set(hydra, &["job", "override_dirname"], dirname.into());
    set(hydra, &["job", "config_name"], config_name.map_or(Value::Null, Value::from));
    Ok(())
}

fn child<'n>(node: &'n mut Node, keys: &[&str]) -> Option<&'n mut Node> {
    keys.iter().try_fold(node, |node, key| node.child_mut(key))
}

/// Sets a value of the `hydra` node that Hydra itself knows.
pub(crate) fn set(hydra: &mut Node, keys: &[&str], value: Value) {
    if let Some(node) = child(hydra, keys) {
        *node = Node::builtin(value);
    }
}

/// `hydra.job.env_copy` names the variables that are to be set for the job as they are here.
fn copy_environment(composer: &Composer, hydra: &mut Node) -> Result<()> {
    let names = child(hydra, &["job", "env_copy"]).and_then(|node| node.as_list().map(<[Node]>::to_vec));
    for name in names.unwrap_or_default() {
        let text = str_node(&name);
        let Some(value) = composer.resolvers.variable(&text) else {
            return Err(
                fail!(Value, "hydra.job.env_copy: no environment variable '{text}'").or_at(&name.origin)
            );
        };
        if let Some(map) = child(hydra, &["job", "env_set"]).and_then(Node::as_map_mut) {
            map.insert(Key::from(text), Node::builtin(value));
        }
    }
    Ok(())
}

fn source_list(sources: &[SearchPathEntry]) -> Value {
    let entry = |path: &str, schema: &str, provider: &str| {
        let mut map = Map::new();
        for (key, text) in [("path", path), ("schema", schema), ("provider", provider)] {
            map.insert(Key::from(key), Node::new(text.into(), Origin::Builtin));
        }
        Node::builtin(map)
    };
    let listed = sources.iter().map(|source| match &source.source {
        _ if source.provider == "hydra" => entry("hydra.conf", "pkg", "hydra"),
        ConfigSource::Folder(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            entry(&path.display().to_string(), "file", &source.provider)
        }
        ConfigSource::Files(_) | ConfigSource::Embedded(_) => entry("fulmen", "pkg", &source.provider),
    });
    Value::List(listed.chain([entry("", "structured", "schema")]).collect())
}

/// The task's overrides as a folder's name: sorted, joined, with another sign for `=`.
fn override_dirname(hydra: &mut Node, task: &[&Override]) -> String {
    let text = |node: Option<&mut Node>, default: &str| {
        node.and_then(|node| node.as_str().map(str::to_owned)).unwrap_or_else(|| default.to_owned())
    };
    let settings = ["job", "config", "override_dirname"];
    let setting = |key| [settings[0], settings[1], settings[2], key];
    let key_separator = text(child(hydra, &setting("kv_sep")), "=");
    let item_separator = text(child(hydra, &setting("item_sep")), ",");
    let excluded: Vec<String> = child(hydra, &setting("exclude_keys"))
        .and_then(|node| node.as_list().map(|items| items.iter().map(str_node).collect()))
        .unwrap_or_default();
    let mut items: Vec<&str> =
        task.iter().filter(|item| !excluded.contains(&item.key)).map(|item| &*item.text).collect();
    items.sort_unstable();
    items.join(&item_separator).replace('=', &key_separator)
}
