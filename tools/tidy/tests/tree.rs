//! Every check of `fulmen-tidy` on this repository.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use fulmen_tidy::graph::Graph;
use fulmen_tidy::sources::{self, Source};
use fulmen_tidy::{architecture, arrows, torch_free};

static ROOT: LazyLock<PathBuf> =
    LazyLock::new(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap());
static GRAPH: LazyLock<Graph> = LazyLock::new(|| Graph::of_workspace(&ROOT).unwrap());
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| sources::read_all(&ROOT).unwrap());

#[track_caller]
fn tidy(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_checks_see_the_tree() {
    assert!(GRAPH.find("fulmen-tidy").is_some_and(|one| one.folder == Path::new("tools/tidy")));
    assert!(GRAPH.linked["fulmen-tidy"].contains("serde"));
    assert!(SOURCES.iter().any(|source| source.path == Path::new("tools/tidy/tests/tree.rs")));
}

#[test]
fn every_crate_lies_in_a_layer() {
    tidy(arrows::crates_outside_the_layers(&GRAPH));
}

#[test]
fn crates_depend_only_on_what_the_table_allows() {
    tidy(arrows::wrong_arrows(&GRAPH));
}

#[test]
fn the_table_itself_keeps_to_the_layers() {
    tidy(arrows::arrows_against_the_layers(&GRAPH));
}

#[test]
fn what_the_command_line_stands_on_does_not_link_libtorch() {
    tidy(torch_free::unknown_names(&GRAPH));
    tidy(torch_free::ways_to_torch(&GRAPH));
}

#[test]
fn the_architecture_page_knows_every_crate() {
    let text = std::fs::read_to_string(ROOT.join("ARCHITECTURE.md")).unwrap_or_default();
    tidy(architecture::crates_missing_from(&text, &GRAPH));
}

#[test]
fn every_file_says_first_what_it_holds() {
    tidy(sources::without_header(&SOURCES));
}

#[test]
fn no_file_is_too_long() {
    tidy(sources::too_long(&SOURCES));
}

#[test]
fn unsafe_stays_in_the_engine() {
    tidy(sources::unsafe_outside_the_engine(&SOURCES));
    let manifests = GRAPH.crates.iter().map(|one| {
        let path = one.folder.join("Cargo.toml");
        let text = std::fs::read_to_string(ROOT.join(&path)).unwrap();
        Source { path, text }
    });
    tidy(sources::without_workspace_lints(&manifests.collect::<Vec<_>>()));
}
