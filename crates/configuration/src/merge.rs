//! Merging and updating trees, as `OmegaConf.merge` and `OmegaConf.update` do.

use crate::error::{ConfigError, Result, fail, nearest};
use crate::interpolation::{Cursor, Evaluator, Resolvers};
use crate::value::{Flags, Key, Node, Value, join_key, split_key};

/// Merges `source` into the tree at `root`: mappings merge key by key, lists and everything else are replaced.
///
/// # Errors
/// A mapping that meets a list, a key that a closed mapping does not have, anything read-only.
pub fn merge(root: &mut Node, source: Node, resolvers: &Resolvers) -> Result<()> {
    let inherited = root.flags;
    if meets_interpolation(root, &source) {
        merge_expanding(root, &mut Vec::new(), source, inherited, resolvers)
    } else {
        merge_nodes(root, source, inherited, &mut String::new())
    }
}

/// Whether a container is merged into an interpolation somewhere, whose target must be copied first.
fn meets_interpolation(dest: &Node, source: &Node) -> bool {
    let (Some(dest), Some(source)) = (dest.as_map(), source.as_map()) else { return false };
    source.iter().any(|(key, child)| match dest.get(key) {
        Some(target) if target.is_interpolation() => child.is_container() || child.is_missing(),
        Some(target) => meets_interpolation(target, child),
        None => false,
    })
}

/// Merges as `merge_nodes`, walking from the root at every step so that interpolations see the tree as it is.
fn merge_expanding(
    root: &mut Node,
    path: &mut Vec<Key>,
    source: Node,
    inherited: Flags,
    resolvers: &Resolvers,
) -> Result<()> {
    let Value::Map(pairs) = source.value else {
        return merge_nodes(at_path(root, path)?, source, inherited, &mut key_text(path));
    };
    if !matches!(at_path(root, path)?.value, Value::Map(_)) {
        let source = Node { value: Value::Map(pairs), ..source };
        return merge_nodes(at_path(root, path)?, source, inherited, &mut key_text(path));
    }
    for (key, child) in *pairs {
        path.push(key);
        let expanded = match at_path(root, path) {
            Ok(target) if target.is_interpolation() && (child.is_container() || child.is_missing()) => {
                target_container(root, path, resolvers)
            }
            _ => None,
        };
        if let Some(expanded) = expanded {
            *at_path(root, path)? = expanded;
        }
        let both_maps = matches!(child.value, Value::Map(_))
            && at_path(root, path).is_ok_and(|target| matches!(target.value, Value::Map(_)));
        if both_maps {
            let flags = at_path(root, path)?.flags.under(inherited);
            merge_expanding(root, path, child, flags, resolvers)?;
            path.pop();
        } else {
            let key = path.pop().unwrap_or(Key::Null);
            let mut single = Node::empty_map(child.origin.clone());
            if let Some(map) = single.as_map_mut() {
                map.insert(key, child);
            }
            merge_nodes(at_path(root, path)?, single, inherited, &mut key_text(path))?;
        }
    }
    Ok(())
}

/// A copy of the container that the interpolation at a path leads to.
fn target_container(root: &Node, path: &[Key], resolvers: &Resolvers) -> Option<Node> {
    let mut cursor = Cursor::root(root);
    for key in path {
        cursor = cursor.child(&key.to_string())?;
    }
    let target = Evaluator::new(resolvers, None).dereference(&cursor).ok()?;
    target.node().is_container().then(|| target.node().clone())
}

fn at_path<'n>(root: &'n mut Node, path: &[Key]) -> Result<&'n mut Node> {
    path.iter().try_fold(root, |node, key| match &mut node.value {
        Value::Map(map) => map.get_mut(key).ok_or_else(|| fail!(UnknownKey, "no key '{key}'")),
        _ => Err(fail!(Type, "'{key}' is not in a mapping")),
    })
}

fn key_text(path: &[Key]) -> String {
    path.iter().fold(String::new(), |text, key| join_key(&text, key, false))
}

/// Merges two nodes of which at least the destination is a container. `path` is the destination's full key.
fn merge_nodes(dest: &mut Node, source: Node, inherited: Flags, path: &mut String) -> Result<()> {
    let flags = dest.flags.under(inherited);
    match (&mut dest.value, source.value) {
        (Value::Map(dest_map), Value::Map(source_map)) => {
            for (key, child) in *source_map {
                let Some(target) = dest_map.get_mut(&key) else {
                    if flags.is_closed() {
                        return Err(unknown_key(dest_map.keys(), path, &key).or_at(&child.origin));
                    }
                    writable(flags, path, &key, &child)?;
                    dest_map.insert(key, child);
                    continue;
                };
                if target.is_container() && child.is_container() {
                    let length = path.len();
                    *path = join_key(path, &key, false);
                    merge_nodes(target, child, flags, path)?;
                    path.truncate(length);
                } else if !child.is_missing() {
                    writable(flags, path, &key, &child)?;
                    *target = child;
                } else if !target.is_container() {
                    writable(flags, path, &key, &child)?;
                }
            }
            Ok(())
        }
        (Value::List(items), Value::List(new)) => {
            if flags.is_readonly() {
                return Err(fail!(ReadOnly, "'{path}' is read-only").or_at(&source.origin));
            }
            *items = new;
            dest.origin = source.origin;
            Ok(())
        }
        (dest_value, source_value) => {
            let names = |value: &Value| if matches!(value, Value::Map(_)) { "a mapping" } else { "a list" };
            let what = if path.is_empty() { "the root".to_owned() } else { format!("'{path}'") };
            let was = match dest.origin.file_position() {
                Some((file, line, column)) => format!(" ({file}:{line}:{column})"),
                None => String::new(),
            };
            Err(fail!(
                Type,
                "{what} is {}{was} and cannot become {}",
                names(dest_value),
                names(&source_value)
            )
            .or_at(&source.origin)
            .with_help(format!(
                "give both the same kind, or replace it on the command line: ~{path} +{path}=…"
            )))
        }
    }
}

fn writable(flags: Flags, path: &str, key: &Key, child: &Node) -> Result<()> {
    if flags.is_readonly() {
        return Err(fail!(ReadOnly, "'{}' is read-only", join_key(path, key, false)).or_at(&child.origin));
    }
    Ok(())
}

/// The error for a key that a closed mapping does not have.
fn unknown_key<'k>(known: impl Iterator<Item = &'k Key>, path: &str, key: &Key) -> ConfigError {
    let text = key.to_string();
    // The `hydra` node is beside the configuration, not in it.
    let known = known.filter_map(Key::as_str).filter(|known| !(path.is_empty() && *known == "hydra"));
    let known: Vec<&str> = known.collect();
    let near = nearest(&text, known.iter().copied()).map(|near| join_key(path, &Key::from(near), false));
    let there = match known.as_slice() {
        [] => "has no keys".to_owned(),
        known if known.len() <= 12 => format!("has {}", known.join(", ")),
        known => format!("has {} and {} more", known[..12].join(", "), known.len() - 12),
    };
    let place = if path.is_empty() { "the configuration".to_owned() } else { format!("'{path}'") };
    let error = fail!(UnknownKey, "no key '{}': {place} {there}", join_key(path, key, false));
    match near {
        Some(near) => error.with_help(format!("did you mean '{near}'?")),
        None => error,
    }
}

/// Parts of a dotted key: deeper trees would end in a stack overflow, not in a configuration.
const MAX_PARTS: usize = 100;

/// How `update` treats what is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Update {
    /// Merge a mapping into a mapping, rather than replace it.
    pub merge: bool,
    /// Add keys even where the mapping is closed.
    pub force_add: bool,
}

/// Sets the value at a dotted key, as `OmegaConf.update` does; containers on the way are made.
///
/// # Errors
/// A key that a closed mapping does not have, an index beyond a list, two kinds that do not merge, read-only nodes.
pub fn update(root: &mut Node, key: &str, value: Node, mode: Update, resolvers: &Resolvers) -> Result<()> {
    let parts = split_key(key);
    if parts.len() > MAX_PARTS {
        return Err(fail!(Value, "a key of more than {MAX_PARTS} parts").or_at(&value.origin));
    }
    let Some((last, way)) = parts.split_last() else { return Ok(()) };
    let mut path = String::new();
    let mut flags = root.flags;
    let mut node = &mut *root;
    for part in way {
        if !node.child(part).is_some_and(Node::is_container) {
            let open = Flags { closed: flags.closed.filter(|_| !mode.force_add), ..flags };
            set_child(node, part, Node::empty_map(value.origin.clone()), open, &path)?;
        }
        let in_list = matches!(node.value, Value::List(_));
        path = join_key(&path, &Key::from(part.as_str()), in_list);
        node = node.child_mut(part).ok_or_else(|| fail!(UnknownKey, "no key '{path}'"))?;
        flags = node.flags.under(flags);
    }
    if mode.force_add {
        flags.closed = None;
    }
    if mode.merge && value.is_container() && node.child(last).is_some_and(Node::is_container) {
        let in_list = matches!(node.value, Value::List(_));
        let child_path = join_key(&path, &Key::from(last.as_str()), in_list);
        let child = node.child_mut(last).ok_or_else(|| fail!(UnknownKey, "no key '{child_path}'"))?;
        if !meets_interpolation(child, &value) {
            return merge_nodes(child, value, flags, &mut child_path.clone());
        }
        let keys: Vec<Key> = parts.iter().map(|part| Key::from(part.as_str())).collect();
        return merge_expanding(root, &mut keys.clone(), value, flags, resolvers);
    }
    set_child(node, last, value, flags, &path)
}

/// Sets a child of a container. `flags` are those that hold for the container.
fn set_child(node: &mut Node, key: &str, value: Node, flags: Flags, path: &str) -> Result<()> {
    match &mut node.value {
        Value::Map(map) => {
            if flags.is_closed() && !map.contains_key(key) {
                return Err(unknown_key(map.keys(), path, &Key::from(key)).or_at(&value.origin));
            }
            writable(flags, path, &Key::from(key), &value)?;
            // An unset value takes the place of nothing but nothing takes its place silently.
            map.insert(Key::from(key), value);
            Ok(())
        }
        Value::List(items) => {
            let length = items.len();
            let index = crate::value::number::python_int_digits(key)
                .map(|_| crate::value::number::parse_python_int(key));
            let Some(index) = index else {
                return Err(fail!(Type, "'{key}' is no index: '{path}' is a list").or_at(&value.origin));
            };
            match index.and_then(|index| items.get_mut(index)) {
                Some(_) if flags.is_readonly() => {
                    Err(fail!(ReadOnly, "'{path}' is read-only").or_at(&value.origin))
                }
                Some(item) => {
                    *item = value;
                    Ok(())
                }
                None => Err(fail!(UnknownKey, "no item {key}: the list '{path}' has {length}")
                    .or_at(&value.origin)
                    .with_help(format!("give the whole list: {path}=[…]"))),
            }
        }
        _ => Err(fail!(Type, "'{path}' is {} and has no keys", node.type_name()).or_at(&value.origin)),
    }
}

/// Deletes the child at a dotted key.
///
/// # Errors
/// A key that is not there, a closed or read-only mapping.
pub fn delete(root: &mut Node, key: &str, force: bool) -> Result<()> {
    let parts = split_key(key);
    let Some((last, way)) = parts.split_last() else { return Ok(()) };
    let mut flags = root.flags;
    let mut node = root;
    for part in way {
        node = node.child_mut(part).ok_or_else(|| fail!(UnknownKey, "no key '{key}'"))?;
        flags = node.flags.under(flags);
    }
    if flags.is_readonly() {
        return Err(fail!(ReadOnly, "'{key}' is read-only"));
    }
    match &mut node.value {
        Value::Map(map) => {
            if flags.is_closed() && !force {
                return Err(fail!(Type, "'{key}' is in a closed mapping and cannot be deleted"));
            }
            map.shift_remove(last.as_str()).map(drop).ok_or_else(|| fail!(UnknownKey, "no key '{key}'"))
        }
        Value::List(items) => match crate::value::number::parse_python_int(last) {
            Some(index) if index < items.len() => {
                items.remove(index);
                Ok(())
            }
            _ => Err(fail!(UnknownKey, "no item '{key}'")),
        },
        _ => Err(fail!(UnknownKey, "no key '{key}'")),
    }
}
