//! The expanded tree of defaults, and the flat list in the order of composition.

use super::Item;
use crate::error::{Result, fail};
use crate::origin::Origin;

/// A config in the tree of defaults, with what its defaults list brought.
#[derive(Debug, Clone)]
pub struct DefaultsTree {
    pub(crate) item: Item,
    pub(crate) children: Option<Vec<DefaultsTree>>,
}

/// One step of the composition: a config, and the package under which it is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultDefault {
    /// The config's path from the root of the search path, without `.yaml`.
    pub config: String,
    /// The package; empty is the root.
    pub package: String,
    /// The config whose defaults list brought it, or `<root>`.
    pub parent: String,
    /// Whether it stands for `_self_` of a config that has a defaults list.
    pub is_self: bool,
    /// Whether it is the primary config.
    pub primary: bool,
    /// The key by which an override names it, for an entry of a group.
    pub override_key: Option<String>,
    /// Where the choice was made.
    pub(crate) origin: Origin,
}

impl DefaultsTree {
    /// The steps of the composition in order.
    ///
    /// # Errors
    /// One override key that two steps share.
    pub(crate) fn flatten(&self) -> Result<Vec<ResultDefault>> {
        let mut steps = Vec::new();
        self.collect(None, None, &mut steps);
        let mut seen = std::collections::HashSet::new();
        for step in steps.iter().filter(|step| !step.is_self) {
            if let Some(key) = &step.override_key
                && !seen.insert(key.as_str())
            {
                return Err(fail!(DuplicateChoice, "'{key}' is more than once in the defaults list")
                    .at(step.origin.clone())
                    .with_help("remove one, or give one a package of its own: group@package: option"));
            }
        }
        Ok(steps)
    }

    fn collect(&self, parent: Option<&Item>, grandparent: Option<&Item>, steps: &mut Vec<ResultDefault>) {
        if let Some(children) = &self.children {
            for child in children {
                child.collect(Some(&self.item), parent, steps);
            }
            return;
        }
        let item = &self.item;
        if item.deleted || item.is_missing() || item.name().is_none() {
            return;
        }
        let step = if item.is_self() {
            let Some(owner) = parent else { return };
            ResultDefault {
                config: owner.config_path(),
                package: owner.final_package(true),
                parent: grandparent.map(Item::config_path).unwrap_or_default(),
                is_self: true,
                primary: owner.primary,
                override_key: None,
                origin: owner.origin.clone(),
            }
        } else {
            ResultDefault {
                config: item.config_path(),
                package: item.final_package(true),
                parent: parent.map(Item::config_path).unwrap_or_default(),
                is_self: false,
                primary: item.primary,
                override_key: item.is_group().then(|| item.override_key()),
                origin: item.origin.clone(),
            }
        };
        if step.config != "_dummy_empty_config_" {
            steps.push(step);
        }
    }

    /// The tree as `--info defaults-tree` shows it.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out
    }

    fn write(&self, depth: usize, out: &mut String) {
        use super::ItemKind;
        let item = &self.item;
        let name = match &item.kind {
            ItemKind::Group { .. } => format!("{}: {}", item.override_key(), item.name_or_null()),
            _ => item.config_path(),
        };
        let colon = if self.children.is_some() { ":" } else { "" };
        out.push_str(&format!("{}{name}{colon}\n", "  ".repeat(depth)));
        for child in self.children.iter().flatten() {
            child.write(depth + 1, out);
        }
    }
}
