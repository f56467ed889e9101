//! Where configuration files are found: folders, and trees inside the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Result, fail};

/// One root of the search path.
#[derive(Debug, Clone)]
pub enum ConfigSource {
    /// A folder of files.
    Folder(PathBuf),
    /// Files by their path inside the tree, such as `model/resnet.yaml`.
    Files(Arc<BTreeMap<String, String>>),
    /// A folder that was built into the binary.
    Embedded(&'static include_dir::Dir<'static>),
}

/// The text of a file, with the path that messages show.
#[derive(Debug, Clone)]
pub(crate) struct FoundFile {
    pub(crate) text: String,
    pub(crate) path: Arc<str>,
}

impl ConfigSource {
    /// The source as Hydra names it: `file:///path`, or `pkg://fulmen` for a tree inside the binary.
    pub fn url(&self) -> String {
        match self {
            ConfigSource::Folder(path) => format!("file://{}", path.display()),
            ConfigSource::Files(_) | ConfigSource::Embedded(_) => "pkg://fulmen".into(),
        }
    }

    /// The source in words.
    pub(crate) fn place(&self) -> String {
        match self {
            ConfigSource::Folder(path) => path.display().to_string(),
            ConfigSource::Files(_) | ConfigSource::Embedded(_) => "the built-in configuration".into(),
        }
    }

    /// Whether the root is there.
    pub fn is_available(&self) -> bool {
        self.is_group("")
    }

    /// Whether a folder of that path is there.
    pub fn is_group(&self, path: &str) -> bool {
        match self {
            ConfigSource::Folder(root) => root.join(path).is_dir(),
            ConfigSource::Files(files) => {
                let folder = normalized(path);
                folder.is_empty() || files.keys().any(|file| below(file, &folder).is_some())
            }
            ConfigSource::Embedded(dir) => {
                let folder = normalized(path);
                folder.is_empty() || dir.get_dir(&folder).is_some()
            }
        }
    }

    /// Whether a file of that name, with or without `.yaml`, is there.
    pub fn is_config(&self, name: &str) -> bool {
        let name = with_extension(name);
        match self {
            ConfigSource::Folder(root) => root.join(&name).is_file(),
            ConfigSource::Files(files) => files.contains_key(&normalized(&name)),
            ConfigSource::Embedded(dir) => dir.get_file(normalized(&name)).is_some(),
        }
    }

    /// Reads a file, if it is there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<FoundFile>> {
        let name = with_extension(name);
        match self {
            ConfigSource::Folder(root) => {
                let path = root.join(&name);
                let bytes = match std::fs::read(&path) {
                    Ok(bytes) => bytes,
                    Err(_) if !path.is_file() => return Ok(None),
                    Err(error) => return Err(fail!(Io, "cannot read {}: {error}", path.display())),
                };
                let shown: Arc<str> = path.to_string_lossy().into();
                let text = String::from_utf8(bytes).map_err(|error| {
                    let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                        .iter()
                        .filter(|b| **b == b'\n')
                        .count();
                    fail!(Yaml, "the file is not UTF-8").at(crate::Origin::File {
                        file: shown.clone(),
                        line: line as u32 + 1,
                        column: 1,
                    })
                })?;
                Ok(Some(FoundFile { text, path: shown }))
            }
            ConfigSource::Files(files) => {
                let name = normalized(&name);
                let path: Arc<str> = format!("<embedded>/{name}").into();
                Ok(files.get(&name).map(|text| FoundFile { text: text.clone(), path }))
            }
            ConfigSource::Embedded(dir) => {
                let name = normalized(&name);
                let text = dir.get_file(&name).and_then(|file| file.contents_utf8());
                let path: Arc<str> = format!("<embedded>/{name}").into();
                Ok(text.map(|text| FoundFile { text: text.to_owned(), path }))
            }
        }
    }

    /// The names of the files (without `.yaml`) directly in a folder.
    pub fn options(&self, group: &str) -> BTreeSet<String> {
        self.entries(group).iter().filter_map(|name| name.strip_suffix(".yaml")).map(str::to_owned).collect()
    }

    /// The names of the folders directly in a folder.
    pub fn groups(&self, group: &str) -> BTreeSet<String> {
        let inside = |name: &str| if group.is_empty() { name.to_owned() } else { format!("{group}/{name}") };
        self.entries(group).into_iter().filter(|name| self.is_group(&inside(name))).collect()
    }

    fn entries(&self, group: &str) -> BTreeSet<String> {
        match self {
            ConfigSource::Folder(root) => {
                let Ok(entries) = std::fs::read_dir(root.join(group)) else { return BTreeSet::new() };
                entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
            }
            ConfigSource::Files(files) => {
                let folder = normalized(group);
                let first = |rest: &str| rest.split('/').next().unwrap_or_default().to_owned();
                files.keys().filter_map(|file| below(file, &folder)).map(first).collect()
            }
            ConfigSource::Embedded(dir) => {
                let folder = normalized(group);
                let dir = if folder.is_empty() { Some(*dir) } else { dir.get_dir(&folder) };
                let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
                dir.into_iter().flat_map(|dir| dir.entries()).filter_map(|entry| name(entry.path())).collect()
            }
        }
    }
}

/// The search path: roots in the order in which they are asked; the first that has a file wins.
#[derive(Debug, Clone, Default)]
pub struct SearchPath {
    entries: Vec<SearchPathEntry>,
}

/// A root of the search path and who put it there.
#[derive(Debug, Clone)]
pub struct SearchPathEntry {
    /// Who put it there, such as `main` or `hydra.searchpath in main`.
    pub provider: String,
    /// The root.
    pub source: ConfigSource,
}

impl SearchPath {
    /// An empty search path.
    pub fn new() -> Self {
        Self::default()
    }

    /// A search path of one folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::new().with("main", ConfigSource::Folder(path.into()))
    }

    /// Adds a root at the end.
    #[must_use]
    pub fn with(mut self, provider: &str, source: ConfigSource) -> Self {
        self.push(provider, source);
        self
    }

    /// Adds a root at the end.
    pub fn push(&mut self, provider: &str, source: ConfigSource) {
        self.entries.push(SearchPathEntry { provider: provider.to_owned(), source });
    }

    /// The roots in order.
    pub fn entries(&self) -> &[SearchPathEntry] {
        &self.entries
    }
}

fn with_extension(name: &str) -> String {
    if name.ends_with(".yaml") { name.to_owned() } else { format!("{name}.yaml") }
}

/// The rest of a file's path below a folder.
fn below<'f>(file: &'f str, folder: &str) -> Option<&'f str> {
    if folder.is_empty() { Some(file) } else { file.strip_prefix(folder)?.strip_prefix('/') }
}

/// A path without `.`, `..` and doubled slashes.
fn normalized(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
