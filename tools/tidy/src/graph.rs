//! The workspace as `cargo metadata` tells it: its crates, their folders, and who depends on whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// What Cargo distinguishes among dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `[dependencies]`
    Normal,
    /// `[dev-dependencies]`
    Dev,
    /// `[build-dependencies]`
    Build,
}

/// One crate of the workspace.
#[derive(Debug, Clone)]
pub struct Crate {
    /// Package name, such as `fulmen-base`.
    pub name: String,
    /// Folder below the root of the repository, such as `crates/core/base`.
    pub folder: PathBuf,
    /// Dependencies on other crates of the workspace.
    pub arrows: Vec<(String, Kind)>,
}

/// The crates of the workspace, and the packages that each package of the whole graph needs to be built or run.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The crates of the workspace, by name.
    pub crates: Vec<Crate>,
    /// Package name to the names of its normal dependencies, registry packages included. Dependencies for tests and for
    /// build scripts are left out: neither ends up in the program.
    pub linked: BTreeMap<String, BTreeSet<String>>,
}

/// Why the graph could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// A program could not be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed: {message}")]
    Failed {
        /// The program with its arguments.
        program: String,
        /// What it wrote to its standard error.
        message: String,
    },
    /// The output of `cargo metadata` is not of format version 1.
    #[error("cargo metadata printed something else than its format 1")]
    Format(#[from] serde_json::Error),
}

impl Graph {
    /// Reads the graph of the workspace whose root folder is `root`, for the platform this runs on.
    ///
    /// # Errors
    /// When cargo cannot be run, refuses the workspace, or needs to fetch a package and cannot.
    pub fn of_workspace(root: &Path) -> Result<Self, GraphError> {
        let host = host_platform()?;
        let arguments = ["metadata", "--format-version", "1", "--filter-platform", &host];
        let text = output_of(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), &arguments, root)?;
        Ok(Self::from_metadata(&serde_json::from_str(&text)?))
    }

    /// The crate of this name, if it is one of ours.
    pub fn find(&self, name: &str) -> Option<&Crate> {
        self.crates.iter().find(|one| one.name == name)
    }

    fn from_metadata(metadata: &Metadata) -> Self {
        let members: BTreeSet<&str> = metadata.workspace_members.iter().map(String::as_str).collect();
        let names: BTreeMap<&str, &str> =
            metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        let ours: BTreeSet<&str> = members.iter().filter_map(|id| names.get(id)).copied().collect();

        let crates = metadata
            .packages
            .iter()
            .filter(|package| members.contains(package.id.as_str()))
            .map(|package| Crate {
                name: package.name.clone(),
                folder: folder_below(&metadata.workspace_root, &package.manifest_path),
                arrows: package
                    .dependencies
                    .iter()
                    .filter(|dependency| ours.contains(dependency.name.as_str()))
                    .map(|dependency| (dependency.name.clone(), dependency.kind.unwrap_or(Kind::Normal)))
                    .collect(),
            })
            .collect();

        let mut linked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in &metadata.resolve.nodes {
            let Some(name) = names.get(node.id.as_str()) else { continue };
            let needed = node
                .deps
                .iter()
                .filter(|dep| {
                    dep.dep_kinds.iter().any(|one| one.kind.unwrap_or(Kind::Normal) == Kind::Normal)
                })
                .filter_map(|dep| names.get(dep.pkg.as_str()));
            // Two versions of one package share a name, and so an entry: whoever reaches either reaches both.
            linked.entry((*name).to_owned()).or_default().extend(needed.map(|name| (*name).to_owned()));
        }
        Self { crates, linked }
    }
}

fn folder_below(root: &Path, manifest: &Path) -> PathBuf {
    let folder = manifest.parent().unwrap_or(manifest);
    folder.strip_prefix(root).unwrap_or(folder).to_path_buf()
}

fn host_platform() -> Result<String, GraphError> {
    let text = output_of("rustc", &["-vV"], Path::new("."))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| GraphError::Failed {
        program: "rustc -vV".into(),
        message: "it names no host platform".into(),
    })
}

fn output_of(program: &str, arguments: &[&str], folder: &Path) -> Result<String, GraphError> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|source| GraphError::Start { program: program.into(), source })?;
    if !output.status.success() {
        return Err(GraphError::Failed {
            program: format!("{program} {}", arguments.join(" ")),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

// The few fields of `cargo metadata --format-version 1` that are read:
// https://doc.rust-lang.org/cargo/commands/cargo-metadata.html

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_root: PathBuf,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<Kind>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Resolved>,
}

#[derive(Deserialize)]
struct Resolved {
    pkg: String,
    dep_kinds: Vec<ResolvedKind>,
}

#[derive(Deserialize)]
struct ResolvedKind {
    kind: Option<Kind>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_normal_dependencies_count_as_linked() {
        let text = r#"{
            "workspace_root": "/w", "workspace_members": ["a 0.1"],
            "packages": [
                { "id": "a 0.1", "name": "a", "manifest_path": "/w/crates/core/a/Cargo.toml",
                  "dependencies": [{ "name": "b", "kind": null }, { "name": "a", "kind": "dev" }] },
                { "id": "b 1.0", "name": "b", "manifest_path": "/r/b/Cargo.toml", "dependencies": [] },
                { "id": "c 1.0", "name": "c", "manifest_path": "/r/c/Cargo.toml", "dependencies": [] }
            ],
            "resolve": { "nodes": [
                { "id": "a 0.1", "deps": [
                    { "pkg": "b 1.0", "dep_kinds": [{ "kind": "build" }, { "kind": null }] },
                    { "pkg": "c 1.0", "dep_kinds": [{ "kind": "dev" }] }
                ] },
                { "id": "b 1.0", "deps": [] }, { "id": "c 1.0", "deps": [] }
            ] }
        }"#;
        let graph = Graph::from_metadata(&serde_json::from_str(text).unwrap());
        assert_eq!(graph.crates.len(), 1);
        assert_eq!(graph.crates[0].folder, Path::new("crates/core/a"));
        assert_eq!(graph.crates[0].arrows, [("a".to_owned(), Kind::Dev)]);
        assert_eq!(graph.linked["a"], BTreeSet::from(["b".to_owned()]));
    }
}
