//! The choices that the command line and `override` entries make, and those that were met on the way.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use super::{GroupValue, Item, ItemKind, Naming};
use crate::error::{ConfigError, Result, fail, nearest};
use crate::origin::Origin;
use crate::overrides::{Element, Override, OverrideKind};
use crate::repository::Repository;
use crate::value::Value;

/// A choice for one override key, and who made it.
#[derive(Debug)]
struct Choice {
    value: GroupValue,
    used: bool,
    /// The config whose defaults list made it; `None` for the command line.
    config: Option<String>,
    origin: Origin,
}

#[derive(Debug)]
struct Deletion {
    name: Option<String>,
    used: bool,
    origin: Origin,
}

/// All choices of one composition.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    overridden: IndexMap<String, Choice>,
    deletions: IndexMap<String, Deletion>,
    /// Entries that `+group=option` adds to the primary config's list.
    pub(crate) appended: Vec<Item>,
    /// The final choice of every override key, in the order in which they were met.
    pub(crate) known: IndexMap<String, Option<String>>,
    known_by_group: HashMap<String, BTreeSet<String>>,
}

impl Choices {
    /// Takes the group choices out of a command line; returns with them the indices of the overrides of values.
    pub(crate) fn from_command_line(
        repository: &Repository,
        overrides: &[Override],
        naming: Naming,
    ) -> Result<(Self, Vec<usize>)> {
        let mut choices = Self::default();
        let mut values = Vec::new();
        for (index, item) in overrides.iter().enumerate() {
            if item.sweep().is_some() {
                continue;
            }
            let is_dict = matches!(item.value, Some(Element::Dict(_)));
            if is_dict || !repository.group_exists(&item.key) {
                values.push(index);
                continue;
            }
            let origin = Origin::Override { index, text: item.text.clone(), column: 1 };
            choices.add(item, naming, &origin).map_err(|error| error.or_at(&origin))?;
        }
        Ok((choices, values))
    }

    fn add(&mut self, item: &Override, naming: Naming, origin: &Origin) -> Result<()> {
        let key = item.key_with_package();
        match item.kind {
            OverrideKind::ForceAdd => {
                Err(fail!(Composition, "'++' is for values, and '{}' is a config group", item.key)
                    .with_help(format!("use {} or +{}", &item.text[2..], &item.text[2..])))
            }
            OverrideKind::Delete => {
                let name = match &item.value {
                    None | Some(Element::Scalar(Value::Null)) => None,
                    Some(value) => Some(value.as_text().map(str::to_owned).ok_or_else(|| {
                        fail!(
                            DefaultsList,
                            "expected the option of the group '{}' that is to be deleted",
                            item.key
                        )
                    })?),
                };
                self.deletions.insert(key, Deletion { name, used: false, origin: origin.clone() });
                Ok(())
            }
            OverrideKind::Add => {
                let kind = ItemKind::Group { group: item.key.clone(), value: group_value(item)? };
                if item.key.is_empty() {
                    return Err(fail!(DefaultsList, "the override names no group"));
                }
                let mut entry = Item::new(kind, item.package.clone(), naming, origin.clone());
                entry.appended = true;
                self.appended.push(entry);
                Ok(())
            }
            OverrideKind::Change => {
                let value = group_value(item)?;
                self.overridden
                    .insert(key, Choice { value, used: false, config: None, origin: origin.clone() });
                Ok(())
            }
        }
    }

    /// Takes an `override` entry of a defaults list; the first choice of a key stands.
    pub(super) fn add_override(&mut self, config: &str, item: &Item) {
        let ItemKind::Group { value, .. } = &item.kind else { return };
        self.overridden.entry(item.override_key()).or_insert_with(|| Choice {
            value: value.clone(),
            used: false,
            config: Some(config.to_owned()),
            origin: item.origin.clone(),
        });
    }

    /// Puts the chosen value into an entry, if there is a choice for it.
    pub(super) fn apply(&mut self, item: &mut Item) {
        if !item.is_group() {
            return;
        }
        if let Some(choice) = self.overridden.get_mut(&item.override_key()) {
            choice.used = true;
            if let ItemKind::Group { value, .. } = &mut item.kind {
                *value = choice.value.clone();
            }
            item.origin = choice.origin.clone();
        }
    }

    pub(super) fn delete_if_asked(&mut self, item: &mut Item) -> bool {
        if !item.is_group() {
            return false;
        }
        let Some(deletion) = self.deletions.get_mut(&item.override_key()) else { return false };
        if deletion.name.is_some() && deletion.name.as_deref() != item.name() {
            return false;
        }
        deletion.used = true;
        item.deleted = true;
        true
    }

    /// Notes the final choice of an entry.
    pub(super) fn note(&mut self, item: &Item) -> Result<()> {
        if !item.is_group() {
            return Ok(());
        }
        let key = item.override_key();
        let name = item.name().map(str::to_owned);
        match self.known.get(&key) {
            None => {
                self.known.insert(key.clone(), name);
            }
            Some(previous) if *previous == name => {}
            Some(previous) => {
                let previous = previous.as_deref().unwrap_or("null");
                let chosen = item.name_or_null();
                return Err(fail!(DuplicateChoice, "two choices for '{key}': {previous} and {chosen}")
                    .at(item.origin.clone())
                    .with_help(format!("to replace the choice, write `override {key}: {chosen}` in the defaults list, or {key}={chosen} without '+' on the command line")));
            }
        }
        self.known_by_group.entry(item.group_path()).or_default().insert(key);
        Ok(())
    }

    /// Every choice and every deletion must have met its entry.
    pub(crate) fn check_used(&self) -> Result<()> {
        if let Some((key, choice)) = self.overridden.iter().find(|(_, choice)| !choice.used) {
            return Err(self.no_match(key, choice));
        }
        if let Some((key, deletion)) = self.deletions.iter().find(|(_, deletion)| !deletion.used) {
            let what = deletion.name.as_ref().map_or_else(|| key.clone(), |name| format!("{key}={name}"));
            let error = fail!(DeleteNoMatch, "nothing to delete: the defaults list has no '{what}'")
                .at(deletion.origin.clone());
            return Err(match self.known.get(key) {
                Some(Some(chosen)) => error.with_help(format!("it has {key}={chosen}; write ~{key}")),
                _ => self.suggest(key, error, |near| format!("did you mean ~{near}?")),
            });
        }
        Ok(())
    }

    fn no_match(&self, key: &str, choice: &Choice) -> ConfigError {
        let group = key.split('@').next().unwrap_or_default();
        let known = self.known_by_group.get(group);
        let what = match &choice.value {
            GroupValue::Nothing => "null".to_owned(),
            GroupValue::Option(name) => name.clone(),
            GroupValue::Options(names) => format!("[{}]", names.join(",")),
        };
        let place = choice.config.as_ref().map_or(String::new(), |config| format!("in '{config}': "));
        let error = fail!(OverrideNoMatch, "{place}no '{key}' in the defaults list to override")
            .at(choice.origin.clone());
        match known {
            Some(keys) => {
                let keys: Vec<_> = keys.iter().map(String::as_str).collect();
                error.with_help(format!("did you mean {}?", keys.join(" or ")))
            }
            None if choice.config.is_none() => self
                .suggest(key, error, |near| {
                    format!("did you mean {near}? To add to the list, write +{key}={what}")
                })
                .with_help(format!("to add to the defaults list, write +{key}={what}")),
            None => self
                .suggest(key, error, |near| format!("did you mean {near}?"))
                .with_help(format!("to add to the defaults list, write `{key}: {what}` without 'override'")),
        }
    }

    fn suggest(&self, key: &str, error: ConfigError, help: impl Fn(&str) -> String) -> ConfigError {
        match nearest(key, self.known.keys().map(String::as_str)) {
            Some(near) => error.with_help(help(near)),
            None => error,
        }
    }
}

fn group_value(item: &Override) -> Result<GroupValue> {
    let wrong = |found: &str| {
        fail!(
            DefaultsList,
            "expected an option of the group '{}', or a list of options, found {found}",
            item.key
        )
        .with_help(format!("to leave the group out, write ~{}", item.key_with_package()))
    };
    match &item.value {
        Some(Element::List(items)) => {
            let name = |element: &Element| {
                element.as_text().map(str::to_owned).ok_or_else(|| wrong("a list of other values"))
            };
            Ok(GroupValue::Options(items.iter().map(name).collect::<Result<_>>()?))
        }
        Some(value) => match value.as_text() {
            Some(name) => Ok(GroupValue::Option(name.to_owned())),
            None => Err(wrong(&value.to_text().unwrap_or_else(|| "a sweep".into()))),
        },
        None => Err(wrong("nothing")),
    }
}
