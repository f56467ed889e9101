//! Rules for single files: each `.rs` says first what it holds, none grows without end, `unsafe` stays in the engine.

use std::io;
use std::path::{Path, PathBuf};

/// Most lines of a file, its tests not counted.
pub const LINES_MAX: usize = 500;

/// Files that may be longer, each with the reason.
pub const LONG_FILES: [(&str, &str); 0] = [];

/// A source file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path below the root of the repository.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
}

/// All `.rs` files below `root` in `crates/` and `tools/`, by path.
///
/// # Errors
/// When a folder or a file cannot be read.
pub fn read_all(root: &Path) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    let mut folders = vec![root.join("crates"), root.join("tools")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                // Build results and the packages of a web front end are not ours.
                if !name.starts_with('.') && !name.starts_with("target") && name != "node_modules" {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path)?;
                found.push(Source { path: path.strip_prefix(root).unwrap_or(&path).to_path_buf(), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Files whose first line is not `//!` with what is here.
pub fn without_header(sources: &[Source]) -> Vec<String> {
    let bare = sources.iter().filter(|source| !source.text.starts_with("//! "));
    bare.map(|source| format!("{}: the first line must be `//!` and say what is here", source.path.display()))
        .collect()
}

/// Files of more than [`LINES_MAX`] lines outside tests that [`LONG_FILES`] does not excuse.
pub fn too_long(sources: &[Source]) -> Vec<String> {
    longer_than_allowed(sources, &LONG_FILES)
}

fn longer_than_allowed(sources: &[Source], excused: &[(&str, &str)]) -> Vec<String> {
    let is_excused = |source: &Source| excused.iter().any(|(path, _)| source.path == Path::new(path));
    let long = sources.iter().filter(|source| lines_outside_tests(source) > LINES_MAX);
    let mut found: Vec<String> = long
        .filter(|source| !is_excused(source))
        .map(|source| {
            let lines = lines_outside_tests(source);
            format!("{}: {lines} lines, more than {LINES_MAX}: split it by purpose", source.path.display())
        })
        .collect();
    for (path, _) in excused {
        let still_long = sources
            .iter()
            .any(|source| source.path == Path::new(path) && lines_outside_tests(source) > LINES_MAX);
        if !still_long {
            found.push(format!("{path}: no longer needs its excuse in tools/tidy/src/sources.rs"));
        }
    }
    found
}

/// Lines before the inline tests; none in a file that is a test as a whole.
fn lines_outside_tests(source: &Source) -> usize {
    let is_test = source
        .path
        .components()
        .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs" | "benches")));
    if is_test {
        return 0;
    }
    source.text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

/// Files outside `crates/engine` that relax the lint which forbids `unsafe`. The compiler does the rest.
pub fn unsafe_outside_the_engine(sources: &[Source]) -> Vec<String> {
    // In two parts, so that this file does not find itself.
    let lint = concat!("unsafe", "_code");
    let outside = sources.iter().filter(|source| !source.path.starts_with("crates/engine"));
    outside
        .filter(|source| source.text.contains(lint))
        .map(|source| format!("{}: {lint} may be relaxed in crates/engine only", source.path.display()))
        .collect()
}

/// Manifests outside `crates/engine` that do not take the lints of the workspace, which forbid `unsafe`.
pub fn without_workspace_lints(manifests: &[Source]) -> Vec<String> {
    let outside = manifests.iter().filter(|manifest| !manifest.path.starts_with("crates/engine"));
    outside
        .filter(|manifest| !manifest.text.contains("[lints]\nworkspace = true\n"))
        .map(|manifest| format!("{}: must say `[lints] workspace = true`", manifest.path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_file_that_does_not_say_what_it_holds_is_found() {
        let bare = source("crates/a/src/bare.rs", "use std::io;\n//! too late\n");
        let good = source("crates/a/src/good.rs", "//! What is here.\n");
        let found = without_header(&[bare, good]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/a/src/bare.rs"));
    }

    #[test]
    fn a_long_file_is_found_unless_it_is_excused() {
        let long = source("crates/a/src/long.rs", &"x\n".repeat(LINES_MAX + 1));
        let full = source("crates/a/src/full.rs", &"x\n".repeat(LINES_MAX));
        let sources = [long, full];
        assert_eq!(longer_than_allowed(&sources, &[]).len(), 1);
        assert!(longer_than_allowed(&sources, &[("crates/a/src/long.rs", "one table")]).is_empty());
    }

    #[test]
    fn an_excuse_that_is_no_longer_needed_is_found() {
        let short = source("crates/a/src/short.rs", "//! Short.\n");
        assert_eq!(longer_than_allowed(&[short], &[("crates/a/src/short.rs", "was long")]).len(), 1);
    }

    #[test]
    fn tests_do_not_count_towards_the_length() {
        let inline = format!("x\n#[cfg(test)]\nmod tests {{\n{}}}\n", "y\n".repeat(LINES_MAX));
        let apart = "y\n".repeat(LINES_MAX + 1);
        let sources = [
            source("crates/a/src/a.rs", &inline),
            source("crates/a/tests/b.rs", &apart),
            source("crates/a/src/c/tests.rs", &apart),
        ];
        assert!(longer_than_allowed(&sources, &[]).is_empty());
    }

    #[test]
    fn unsafe_is_for_the_engine_alone() {
        let text = concat!("//! Raw.\n#![expect(unsafe", "_code, reason = \"…\")]\n");
        let found = unsafe_outside_the_engine(&[
            source("crates/core/a/src/lib.rs", text),
            source("crates/engine/torch/src/lib.rs", text),
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/core/a"));
    }

    #[test]
    fn a_crate_cannot_leave_the_lints_of_the_workspace() {
        let own = source("crates/core/a/Cargo.toml", "[lints.rust]\n");
        let shared = source("crates/core/b/Cargo.toml", "[lints]\nworkspace = true\n\n");
        assert_eq!(without_workspace_lints(&[own, shared]).len(), 1);
    }

    #[test]
    fn all_sources_are_read_but_build_results_are_not() {
        let root = tempfile::tempdir().unwrap();
        for path in ["crates/a/src/lib.rs", "tools/b/src/lib.rs", "crates/a/target/out.rs", "tools/.c/d.rs"] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "//! Here.\n").unwrap();
        }
        let paths: Vec<_> = read_all(root.path()).unwrap().into_iter().map(|source| source.path).collect();
        assert_eq!(paths, [Path::new("crates/a/src/lib.rs"), Path::new("tools/b/src/lib.rs")]);
    }
}
