//! Expands a primary config into the tree of its defaults, depth first and from the last entry to the first, so
//! that a later entry's overrides reach the earlier ones.

use super::list::DefaultsTree;
use super::{Choices, GroupValue, Item, ItemKind, Naming};
use crate::error::{ConfigError, Result, fail, nearest};
use crate::interpolation::{Cursor, Evaluator, Resolvers};
use crate::repository::Repository;
use crate::value::{Key, Map, Node, Value};

/// Configs that include one another; deeper, a config must include itself.
const MAX_DEPTH: usize = 64;

/// Expands the tree of Hydra's own config and the primary one.
///
/// # Errors
/// Configs that do not exist, defaults lists that are not well formed, choices that contradict each other.
pub(crate) fn expand(
    repository: &mut Repository,
    resolvers: &Resolvers,
    config_name: Option<&str>,
    choices: &mut Choices,
    allow_missing: bool,
    naming: Naming,
) -> Result<DefaultsTree> {
    let mut expansion = Expansion { repository, resolvers, choices, allow_missing, naming, depth: 0 };
    let root = Item::new(ItemKind::Root, None, naming, crate::Origin::Builtin);
    let mut children = Vec::new();
    // The primary config first: what it overrides reaches Hydra's own groups.
    match config_name {
        None => children.push(expansion.without_primary()?),
        Some(name) => {
            let mut primary = Item::config(name, naming);
            primary.primary = true;
            children.push(expansion.config(primary, Some("<root>"), true, false)?);
        }
    }
    children.push(expansion.config(Item::config("hydra/config", naming), Some("<root>"), false, false)?);
    children.reverse();
    Ok(DefaultsTree { item: root, children: Some(children) })
}

struct Expansion<'a> {
    repository: &'a mut Repository,
    resolvers: &'a Resolvers,
    choices: &'a mut Choices,
    /// Whether an unset choice (`???`) is left alone: a sweep may set it.
    allow_missing: bool,
    naming: Naming,
    depth: usize,
}

impl Expansion<'_> {
    /// No primary config: only what `+group=option` adds.
    fn without_primary(&mut self) -> Result<DefaultsTree> {
        let mut item = Item::config("_dummy_empty_config_", self.naming);
        item.primary = true;
        let entries = if self.choices.appended.is_empty() {
            return Ok(DefaultsTree { item, children: None });
        } else {
            let mut entries = vec![Item::config("_self_", self.naming)];
            entries.extend(self.choices.appended.clone());
            entries
        };
        self.children(item, entries, false, false)
    }

    /// Expands one config, which stands where its item says.
    fn config(
        &mut self,
        mut item: Item,
        parent: Option<&str>,
        is_root: bool,
        interpolated: bool,
    ) -> Result<DefaultsTree> {
        if self.depth >= MAX_DEPTH {
            return Err(fail!(
                DefaultsList,
                "'{}' includes itself: more than {MAX_DEPTH} configs inside each other",
                item.config_path()
            )
            .at(item.origin.clone()));
        }
        self.depth += 1;
        let tree = self.config_inner(&mut item, parent, is_root, interpolated);
        self.depth -= 1;
        Ok(match tree? {
            Some(tree) => tree,
            None => DefaultsTree { item, children: None },
        })
    }

    /// The expanded config, or nothing if the item stays a leaf.
    fn config_inner(
        &mut self,
        item: &mut Item,
        parent: Option<&str>,
        is_root: bool,
        interpolated: bool,
    ) -> Result<Option<DefaultsTree>> {
        let path = item.config_path();
        if is_root && !self.repository.config_exists(&path) {
            return Err(self.not_found(item, None));
        }
        let loaded =
            if item.is_missing() || item.name().is_none() { None } else { self.repository.load(&path)? };
        if let Some(loaded) = &loaded {
            item.set_header(loaded.package.as_deref());
        }
        if self.choices.delete_if_asked(item) {
            return Ok(None);
        }
        self.choices.note(item)?;
        if item.name().is_none() || self.is_left_open(item, &path)? {
            return Ok(None);
        }
        let Some(loaded) = loaded else {
            if item.optional {
                item.deleted = true;
                return Ok(None);
            }
            return Err(self.not_found(item, parent));
        };
        let mut entries = loaded.defaults.clone();
        let mut added_self = false;
        if !entries.is_empty() || (is_root && !self.choices.appended.is_empty()) {
            added_self = check_self(&path, &mut entries)?;
        }
        if is_root {
            entries.extend(self.choices.appended.clone());
        }
        self.children(item.clone(), entries, interpolated, added_self).map(Some)
    }

    /// Whether the choice is `???` and may stay so.
    fn is_left_open(&self, item: &Item, path: &str) -> Result<bool> {
        if !path.ends_with(crate::value::MISSING) {
            return Ok(false);
        }
        if self.allow_missing {
            return Ok(true);
        }
        if !item.is_group() {
            return Err(
                fail!(Value, "'{path}': only a group's option can be left open").at(item.origin.clone())
            );
        }
        let key = item.override_key();
        let options = self.repository.options(&item.group_path());
        Err(fail!(MissingChoice, "an option of '{key}' must be chosen")
            .at(item.origin.clone())
            .with_help(format!("write {key}=OPTION with one of {}", options.join(", "))))
    }

    /// Expands the entries of a config's defaults list.
    fn children(
        &mut self,
        parent: Item,
        mut entries: Vec<Item>,
        interpolated: bool,
        added_self: bool,
    ) -> Result<DefaultsTree> {
        let (group, package) = (parent.group_path(), parent.final_package(true));
        self.collect_overrides(&parent, &mut entries, interpolated, &group, &package)?;
        let path = parent.config_path();
        let mut children = Vec::with_capacity(entries.len());
        for index in (0..entries.len()).rev() {
            let entry = &mut entries[index];
            if entry.is_self() {
                let own_package = parent.written_package(true).unwrap_or_default().to_owned();
                entry.place(&parent.parent_group, &own_package);
                children.push(DefaultsTree { item: entry.clone(), children: None });
                continue;
            }
            if entry.is_override {
                continue;
            }
            entry.place(&group, &package);
            self.choices.apply(entry);
            let entry = entry.clone();
            if let ItemKind::Group { group: written, value: GroupValue::Options(options) } = &entry.kind {
                for option in options.iter().rev() {
                    if option.contains("${") {
                        return Err(fail!(
                            DefaultsList,
                            "in '{path}': an interpolation cannot stand in a list of options"
                        )
                        .at(entry.origin.clone()));
                    }
                    let kind = ItemKind::Config { path: format!("{written}/{option}") };
                    let mut node = Item::new(kind, entry.package.clone(), self.naming, entry.origin.clone());
                    node.optional = entry.optional;
                    node.place(&group, &package);
                    children.push(self.config(node, Some(&path), false, interpolated)?);
                }
            } else if entry.is_interpolation() {
                children.push(DefaultsTree { item: entry, children: None });
            } else {
                children.push(self.config(entry, Some(&path), false, interpolated)?);
            }
        }
        self.expand_interpolated(&mut children, &entries, added_self, &path)?;
        children.reverse();
        Ok(DefaultsTree { item: parent, children: (!children.is_empty()).then_some(children) })
    }

    /// Entries with an interpolation wait until every other choice is known.
    fn expand_interpolated(
        &mut self,
        children: &mut [DefaultsTree],
        entries: &[Item],
        added_self: bool,
        path: &str,
    ) -> Result<()> {
        if !children.iter().any(|child| child.children.is_none() && child.item.is_interpolation()) {
            return Ok(());
        }
        let known = self.known_choices(entries, added_self);
        for child in
            children.iter_mut().filter(|child| child.children.is_none() && child.item.is_interpolation())
        {
            let mut item = child.item.clone();
            self.resolve_choice(&mut item, &known)?;
            *child = self.config(item, Some(path), false, true)?;
        }
        Ok(())
    }

    /// What an interpolation in a defaults list can refer to.
    fn known_choices(&self, entries: &[Item], added_self: bool) -> Map {
        let text = |text: Option<&str>| Node::builtin(text.map_or(Value::Null, Value::from));
        let mut known: Map = self
            .choices
            .known
            .iter()
            .map(|(key, name)| (Key::from(key.as_str()), text(name.as_deref())))
            .collect();
        let listed =
            entries.iter().filter(|entry| !(added_self && entry.is_self())).map(|entry| match &entry.kind {
                ItemKind::Group { .. } => {
                    let mut pair = Map::new();
                    pair.insert(Key::from(entry.override_key()), text(entry.name()));
                    Node::builtin(pair)
                }
                _ => text(Some(&entry.config_path())),
            });
        known.insert(Key::from("defaults"), Node::builtin(listed.collect::<Vec<_>>()));
        known
    }

    fn resolve_choice(&self, item: &mut Item, known: &Map) -> Result<()> {
        let written = match &item.kind {
            ItemKind::Config { .. } => item.config_path(),
            _ => item.name_or_null(),
        };
        if is_old_form(&written) && item.is_group() && self.naming == Naming::Current {
            return Err(fail!(Composition, "'{written}': the form ${{defaults.N.group}} is no longer known")
                .at(item.origin.clone())
                .with_help("refer to the group by its name: ${group}"));
        }
        let mut scope = known.clone();
        scope.insert(Key::from("_dummy_"), Node::new(written.as_str().into(), item.origin.clone()));
        let scope = Node::builtin(scope);
        let name = Cursor::root(&scope)
            .child("_dummy_")
            .and_then(|cursor| Evaluator::new(self.resolvers, None).dereference(&cursor).ok())
            .and_then(|target| target.node().as_str().map(str::to_owned));
        let Some(name) = name else {
            let keys: Vec<_> = self.choices.known.keys().map(String::as_str).collect();
            return Err(fail!(InterpolationKey, "'{written}' in a defaults list leads to no choice")
                .at(item.origin.clone())
                .with_help(format!("it can refer to {}", keys.join(", "))));
        };
        match &mut item.kind {
            ItemKind::Config { path } => *path = name,
            ItemKind::Group { value, .. } => *value = GroupValue::Option(name),
            ItemKind::Root => {}
        }
        Ok(())
    }

    /// Takes the `override` entries of a list; they must be its last ones.
    fn collect_overrides(
        &mut self,
        parent: &Item,
        entries: &mut [Item],
        interpolated: bool,
        group: &str,
        package: &str,
    ) -> Result<()> {
        let path = parent.config_path();
        let mut last: Option<(String, String)> = None;
        for entry in entries.iter_mut().filter(|entry| !entry.is_self()) {
            entry.place(group, package);
            let ItemKind::Group { group: written, .. } = &entry.kind else {
                refuse_after_override(&path, entry, last.as_ref())?;
                continue;
            };
            let implicit =
                self.naming == Naming::Legacy && !entry.is_override && written.starts_with("hydra/");
            if !entry.is_override && !entry.appended && !implicit {
                refuse_after_override(&path, entry, last.as_ref())?;
            }
            if implicit {
                entry.is_override = true;
            } else if entry.is_override {
                last = Some((entry.override_key(), entry.name_or_null()));
            }
            if entry.is_override {
                if interpolated {
                    return Err(fail!(
                        DefaultsList,
                        "'{path}' was chosen by an interpolation and cannot override '{}'",
                        entry.override_key()
                    )
                    .at(entry.origin.clone()));
                }
                self.choices.add_override(&path, entry);
            }
        }
        Ok(())
    }

    fn not_found(&self, item: &Item, parent: Option<&str>) -> ConfigError {
        let path = item.config_path();
        let place = parent.map_or(String::new(), |parent| format!("in '{parent}': "));
        let roots = self.repository.described_sources();
        let error = if item.primary {
            fail!(ConfigNotFound, "no primary config '{path}' in {roots}")
        } else {
            fail!(ConfigNotFound, "{place}no config '{path}' in {roots}")
        }
        .at(item.origin.clone());
        let absent = self.repository.absent_sources();
        if item.primary && !absent.is_empty() {
            return error.with_help(format!("there is no folder {}", absent.join(" and no folder ")));
        }
        let (group, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let options = self.repository.options(group);
        let prefix = if group.is_empty() { String::new() } else { format!("'{group}' ") };
        match nearest(name, options.iter().map(String::as_str)) {
            Some(near) => {
                error.with_help(format!("did you mean '{near}'? {prefix}has {}", options.join(", ")))
            }
            None if options.is_empty() => error,
            None => error.with_help(format!("{prefix}has {}", options.join(", "))),
        }
    }
}

/// `_self_` may stand once; where it is not written, the config itself comes last.
fn check_self(path: &str, entries: &mut Vec<Item>) -> Result<bool> {
    let mut selves = entries.iter().filter(|entry| entry.is_self());
    let first = selves.next();
    if let Some(second) = selves.next() {
        return Err(fail!(DefaultsList, "'_self_' stands twice in the defaults of '{path}'")
            .at(second.origin.clone()));
    }
    if first.is_some() {
        return Ok(false);
    }
    let naming = entries.first().map_or(Naming::Current, |entry| entry.naming);
    if entries.is_empty() || entries.iter().any(|entry| !entry.is_override) {
        entries.push(Item::config("_self_", naming));
    }
    Ok(true)
}

fn refuse_after_override(path: &str, entry: &Item, last: Option<&(String, String)>) -> Result<()> {
    let Some((key, name)) = last else { return Ok(()) };
    Err(fail!(
        DefaultsList,
        "in '{path}': 'override {key}: {name}' stands before '{}: {}'",
        entry.override_key(),
        entry.name_or_null()
    )
    .at(entry.origin.clone())
    .with_help("move the override entries to the end of the defaults list"))
}

/// `${defaults.0.group}`, the interpolation of Hydra 1.0.
fn is_old_form(text: &str) -> bool {
    text.strip_prefix("${defaults.").is_some_and(|rest| {
        let mut chars = rest.chars();
        chars.next().is_some_and(|c| c.is_ascii_digit()) && chars.next() == Some('.')
    })
}
