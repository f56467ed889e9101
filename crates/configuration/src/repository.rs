//! The files of a search path, each read once in a composition.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use crate::defaults::{Item, Naming, parse_defaults};
use crate::error::{Result, fail};
use crate::hydra;
use crate::origin::Origin;
use crate::source::{ConfigSource, SearchPath, SearchPathEntry};
use crate::value::{Node, Value};
use crate::yaml;

/// A config as it was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Its content, without the defaults list.
    pub(crate) config: Node,
    /// What its `# @package` line says.
    pub(crate) package: Option<String>,
    pub(crate) defaults: Vec<Item>,
}

/// The files of a search path.
#[derive(Debug)]
pub(crate) struct Repository {
    search_path: SearchPath,
    naming: Naming,
    cache: HashMap<String, Option<Arc<Loaded>>>,
}

/// How much of a file is searched for `# @package`, in characters.
const HEADER_CHARACTERS: usize = 512;

impl Repository {
    pub(crate) fn new(search_path: SearchPath, naming: Naming) -> Self {
        Self { search_path, naming, cache: HashMap::new() }
    }

    /// Adds roots at the end; what has been read stays.
    pub(crate) fn extend(&mut self, entries: impl IntoIterator<Item = SearchPathEntry>) {
        for entry in entries {
            self.search_path.push(&entry.provider, entry.source);
        }
    }

    pub(crate) fn entries(&self) -> &[SearchPathEntry] {
        self.search_path.entries()
    }

    /// The roots but Hydra's own, for messages.
    pub(crate) fn described_sources(&self) -> String {
        let others = self.entries().iter().filter(|entry| entry.provider != "hydra");
        others.map(|entry| entry.source.place()).collect::<Vec<_>>().join(", ")
    }

    /// The roots that do not exist.
    pub(crate) fn absent_sources(&self) -> Vec<String> {
        let absent = self.entries().iter().filter(|entry| !entry.source.is_available());
        absent.map(|entry| entry.source.place()).collect()
    }

    pub(crate) fn group_exists(&self, group: &str) -> bool {
        self.entries().iter().any(|entry| entry.source.is_group(group))
    }

    pub(crate) fn config_exists(&self, path: &str) -> bool {
        self.entries().iter().any(|entry| entry.source.is_config(path))
    }

    /// The options of a group, sorted.
    pub(crate) fn options(&self, group: &str) -> Vec<String> {
        let all: BTreeSet<String> =
            self.entries().iter().flat_map(|entry| entry.source.options(group)).collect();
        all.into_iter().collect()
    }

    /// The groups inside a group, sorted.
    pub(crate) fn groups(&self, group: &str) -> Vec<String> {
        let all: BTreeSet<String> =
            self.entries().iter().flat_map(|entry| entry.source.groups(group)).collect();
        all.into_iter().filter(|name| name != "__pycache__").collect()
    }

    /// Reads a config from the first root that has it.
    pub(crate) fn load(&mut self, path: &str) -> Result<Option<Arc<Loaded>>> {
        if let Some(cached) = self.cache.get(path) {
            return Ok(cached.clone());
        }
        let loaded = match builtin().get(path).filter(|_| self.naming == Naming::Current) {
            Some(loaded) if self.entries().first().is_some_and(|entry| entry.provider == "hydra") => {
                Some(loaded.clone())
            }
            _ => self.read(path)?.map(Arc::new),
        };
        self.cache.insert(path.to_owned(), loaded.clone());
        Ok(loaded)
    }

    fn read(&self, path: &str) -> Result<Option<Loaded>> {
        for entry in self.entries() {
            let Some(file) = entry.source.read(path)? else { continue };
            let package = package_header(&file.text)
                .map_err(|error| error.at(Origin::File { file: file.path.clone(), line: 1, column: 1 }))?;
            let mut config = yaml::load(&file.text, &file.path)?;
            let written = match &mut config.value {
                Value::Map(map) => map.shift_remove("defaults"),
                _ => None,
            };
            let defaults = match written {
                Some(defaults) => parse_defaults(path, &defaults, self.naming)?,
                None => Vec::new(),
            };
            return Ok(Some(Loaded { config, package, defaults }));
        }
        Ok(None)
    }
}

/// Hydra's own configs, read once in a program.
fn builtin() -> &'static HashMap<String, Arc<Loaded>> {
    static LOADED: OnceLock<HashMap<String, Arc<Loaded>>> = OnceLock::new();
    LOADED.get_or_init(|| {
        let source = hydra::builtin_source();
        let repository = Repository::new(SearchPath::new().with("builtin", source.clone()), Naming::Current);
        let ConfigSource::Files(files) = source else { return HashMap::new() };
        let names = files.keys().filter_map(|name| name.strip_suffix(".yaml"));
        names.filter_map(|name| Some((name.to_owned(), Arc::new(repository.read(name).ok()??)))).collect()
    })
}

/// The value of `# @package` among the comment lines at the top of a file.
fn package_header(text: &str) -> Result<Option<String>> {
    if !text.trim_start().starts_with('#') {
        return Ok(None);
    }
    let head: String = text.chars().take(HEADER_CHARACTERS).collect();
    let mut package = None;
    for line in head.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !line.strip_prefix('#').is_some_and(|rest| rest.trim_start().starts_with('@')) {
            break;
        }
        let line = line.trim_start_matches('#').trim();
        let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let help = "write `# @package NAME`, or `# @package _global_` for the root";
        match words.as_slice() {
            [key, value] => {
                if *key == "@package" {
                    package = Some(value.trim().to_owned());
                }
            }
            [_] | [] => return Err(fail!(Value, "'{line}' has no value").with_help(help)),
            _ => return Err(fail!(DefaultsList, "'{line}' has more than one value").with_help(help)),
        }
    }
    Ok(package)
}
