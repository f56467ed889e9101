//! An entry of a defaults list: how it is written, and the names that follow from where it stands.

use crate::error::{Result, fail};
use crate::origin::Origin;
use crate::value::{Node, Value};

/// What an entry chooses from its group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GroupValue {
    /// `group: null`
    Nothing,
    /// `group: option`
    Option(String),
    /// `group: [first, second]`
    Options(Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ItemKind {
    /// The root above the primary config and Hydra's own.
    Root,
    /// `path/to/config`
    Config { path: String },
    /// `group: option`
    Group { group: String, value: GroupValue },
}

/// Which of Hydra's naming rules hold: those before 1.2 knew `_group_` and `_name_` in package headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    Legacy,
    Current,
}

/// An entry of a defaults list.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) kind: ItemKind,
    /// The package after `@`.
    pub(crate) package: Option<String>,
    /// The package of the file's `# @package` line.
    pub(crate) header: Option<String>,
    /// The group of the config that holds the entry.
    pub(crate) parent_group: String,
    /// The final package of the config that holds the entry.
    pub(crate) parent_package: String,
    pub(crate) primary: bool,
    pub(crate) optional: bool,
    /// `override group: option`
    pub(crate) is_override: bool,
    /// Added by `+group=option`.
    pub(crate) appended: bool,
    pub(crate) deleted: bool,
    pub(crate) naming: Naming,
    pub(crate) origin: Origin,
}

impl Item {
    pub(crate) fn new(kind: ItemKind, package: Option<String>, naming: Naming, origin: Origin) -> Self {
        let package = package.map(|package| if package == "_here_" { String::new() } else { package });
        Self {
            kind,
            package,
            header: None,
            parent_group: String::new(),
            parent_package: String::new(),
            primary: false,
            optional: false,
            is_override: false,
            appended: false,
            deleted: false,
            naming,
            origin,
        }
    }

    pub(crate) fn config(path: impl Into<String>, naming: Naming) -> Self {
        Self::new(ItemKind::Config { path: path.into() }, None, naming, Origin::Builtin)
    }

    pub(crate) fn is_self(&self) -> bool {
        match &self.kind {
            ItemKind::Root => false,
            ItemKind::Config { path } => path == "_self_",
            ItemKind::Group { value, .. } => matches!(value, GroupValue::Option(name) if name == "_self_"),
        }
    }

    pub(crate) fn is_group(&self) -> bool {
        matches!(self.kind, ItemKind::Group { .. })
    }

    /// Puts the entry where it stands.
    pub(crate) fn place(&mut self, parent_group: &str, parent_package: &str) {
        self.parent_group = parent_group.to_owned();
        self.parent_package = parent_package.to_owned();
        if let Some(package) = self.package.as_ref().filter(|package| package.contains("_group_")) {
            let resolved = package.replace("_group_", &self.default_package());
            self.package = Some(format!("_global_.{resolved}"));
        }
    }

    pub(crate) fn set_header(&mut self, header: Option<&str>) {
        let Some(mut header) = header.map(str::to_owned) else { return };
        let legacy = self.naming == Naming::Legacy;
        if legacy && header == "_group_" {
            return;
        }
        // A header is always absolute.
        if header.is_empty() {
            header = "_global_".into();
        } else if header != "_global_" && !header.starts_with("_global_.") {
            header = format!("_global_.{header}");
        }
        if legacy {
            header = header.replace("_group_", &self.default_package());
        }
        self.header = Some(header);
    }

    /// The written group, or the folder of the written path, without a leading slash.
    fn written_group(&self) -> &str {
        match &self.kind {
            ItemKind::Root => "",
            ItemKind::Config { path } => path.rsplit_once('/').map_or("", |(group, _)| without_slash(group)),
            ItemKind::Group { group, .. } => without_slash(group),
        }
    }

    fn is_absolute(&self) -> bool {
        match &self.kind {
            ItemKind::Root => true,
            ItemKind::Config { path } => path.starts_with('/'),
            ItemKind::Group { group, .. } => group.starts_with('/'),
        }
    }

    /// The group from the root of the search path.
    pub(crate) fn group_path(&self) -> String {
        let group = self.written_group();
        match (self.is_absolute() || self.parent_group.is_empty(), group.is_empty()) {
            (true, _) => group.to_owned(),
            (false, true) => self.parent_group.clone(),
            (false, false) => format!("{}/{group}", self.parent_group),
        }
    }

    /// The chosen name; `None` for `null` and for a list of options.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.kind {
            ItemKind::Root => None,
            ItemKind::Config { path } => Some(path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name)),
            ItemKind::Group { value: GroupValue::Option(name), .. } => Some(name),
            ItemKind::Group { .. } => None,
        }
    }

    /// The name in words, for messages.
    pub(crate) fn name_or_null(&self) -> String {
        match &self.kind {
            ItemKind::Group { value: GroupValue::Options(options), .. } => {
                format!("[{}]", options.join(", "))
            }
            _ => self.name().unwrap_or("null").to_owned(),
        }
    }

    /// The config's path from the root of the search path.
    pub(crate) fn config_path(&self) -> String {
        match &self.kind {
            ItemKind::Root => "<root>".into(),
            ItemKind::Config { path } => {
                let relative = without_slash(path);
                if self.is_absolute() || self.parent_group.is_empty() {
                    relative.to_owned()
                } else {
                    format!("{}/{relative}", self.parent_group)
                }
            }
            ItemKind::Group { .. } => format!("{}/{}", self.group_path(), self.name_or_null()),
        }
    }

    fn default_package(&self) -> String {
        self.group_path().replace('/', ".")
    }

    /// The package as written, or that of the header.
    pub(crate) fn written_package(&self, with_header: bool) -> Option<&str> {
        self.package.as_deref().or(if with_header { self.header.as_deref() } else { None })
    }

    /// The package from the root of the configuration; the header counts if `with_header`.
    pub(crate) fn final_package(&self, with_header: bool) -> String {
        let mut package = match self.written_package(with_header) {
            Some(package) => package.to_owned(),
            None => self.written_group().replace('/', "."),
        };
        if let (Naming::Legacy, Some(name)) = (self.naming, self.name()) {
            package = package.replace("_name_", name);
        }
        let whole = match (self.parent_package.is_empty(), package.is_empty()) {
            (true, _) => package,
            (false, true) => self.parent_package.clone(),
            (false, false) => format!("{}.{package}", self.parent_package),
        };
        match whole.rfind("_global_") {
            Some(at) => whole.get(at + "_global_.".len()..).unwrap_or_default().to_owned(),
            None => whole,
        }
    }

    /// The key by which an override names the entry: the group, and the package where it is not the default.
    pub(crate) fn override_key(&self) -> String {
        let group = self.group_path();
        let package = self.final_package(false);
        if package == self.default_package() {
            group
        } else {
            format!("{group}@{}", if package.is_empty() { "_global_" } else { &package })
        }
    }

    /// Whether the chosen name holds an interpolation.
    pub(crate) fn is_interpolation(&self) -> bool {
        match &self.kind {
            ItemKind::Root => false,
            ItemKind::Config { .. } => self.config_path().contains("${"),
            ItemKind::Group { .. } => self.name().is_some_and(|name| name.contains("${")),
        }
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.name() == Some(crate::value::MISSING)
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

/// Reads the defaults list of a config.
pub(crate) fn parse_defaults(config: &str, defaults: &Node, naming: Naming) -> Result<Vec<Item>> {
    let Some(items) = defaults.as_list() else {
        return Err(fail!(
            DefaultsList,
            "the defaults of '{config}' must be a list, found {}",
            defaults.type_name()
        )
        .or_at(&defaults.origin)
        .with_help("write each entry on a line of its own, with a dash: - group: option"));
    };
    items
        .iter()
        .map(|item| parse_item(config, item, naming).map_err(|error| error.or_at(&item.origin)))
        .collect()
}

fn parse_item(config: &str, node: &Node, naming: Naming) -> Result<Item> {
    let origin = node.origin.clone();
    if let Some(text) = node.as_str() {
        let (path, package) = split_package(text);
        if path == "_self_" && package.is_some() {
            return Err(fail!(Value, "_self_ takes no package").with_help("write _self_ alone"));
        }
        return Ok(Item::new(
            ItemKind::Config { path: path.into() },
            package.map(str::to_owned),
            naming,
            origin,
        ));
    }
    let Some(map) = node.as_map() else {
        return Err(fail!(DefaultsList, "an entry of the defaults of '{config}' is {}", node.type_name())
            .with_help("write `- group: option` or `- config`"));
    };
    let mut pairs = map.iter().filter(|(key, _)| {
        // Hydra before 1.2 let `optional: true` stand beside the group.
        !(naming == Naming::Legacy && map.len() > 1 && key.as_str() == Some("optional"))
    });
    let (key, value, none) = match (pairs.next(), pairs.next()) {
        (Some((key, value)), None) => (key, value, None),
        (None, _) => (&crate::Key::Null, node, Some("no group")),
        (Some((key, value)), Some(_)) => (key, value, Some("more than one group")),
    };
    if let Some(none) = none {
        return Err(fail!(DefaultsList, "an entry of the defaults of '{config}' has {none}")
            .with_help("give every group an entry with a dash of its own"));
    }
    let key = key.as_str().ok_or_else(|| fail!(DefaultsList, "the group '{key}' is no text"))?;
    let (group, package) = split_package(key);
    let mut words: Vec<&str> = group.split(' ').collect();
    let group = words.pop().unwrap_or_default();
    if group.is_empty() {
        return Err(fail!(DefaultsList, "an entry of the defaults of '{config}' has no group"));
    }
    let value = parse_value(config, value)?;
    let kind = ItemKind::Group { group: group.into(), value };
    let mut item = Item::new(kind, package.map(str::to_owned), naming, origin);
    for word in words {
        match word {
            "optional" => item.optional = true,
            "override" => item.is_override = true,
            _ => break,
        }
    }
    if let (Naming::Legacy, Some(Value::Bool(true))) = (naming, map.get("optional").map(|node| &node.value)) {
        item.optional = true;
    }
    Ok(item)
}

fn parse_value(config: &str, node: &Node) -> Result<GroupValue> {
    let wrong = |node: &Node| {
        fail!(
            DefaultsList,
            "in the defaults of '{config}', expected an option, a list of options or null, found {}",
            node.type_name()
        )
        .or_at(&node.origin)
        .with_help("put an option that looks like a number or a boolean in quotes")
    };
    match &node.value {
        Value::Null => Ok(GroupValue::Nothing),
        Value::Str(name) => Ok(GroupValue::Option(name.to_string())),
        Value::List(items) => {
            let name = |item: &Node| item.as_str().map(str::to_owned).ok_or_else(|| wrong(item));
            Ok(GroupValue::Options(items.iter().map(name).collect::<Result<_>>()?))
        }
        _ => Err(wrong(node)),
    }
}

/// `group@package`; what a colon adds to the package is Hydra 1.0's renaming, and dropped.
fn split_package(text: &str) -> (&str, Option<&str>) {
    match text.split_once('@') {
        Some((group, package)) => (group, Some(package.split(':').next().unwrap_or_default())),
        None => (text, None),
    }
}
