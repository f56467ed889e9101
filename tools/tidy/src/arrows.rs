//! The arrows between crates: which crate may depend on which. The table is the architecture, in a form that can fail.

use std::path::{Component, Path};

use crate::graph::{Crate, Graph, Kind};

/// The layers, top to bottom: the first folder under `crates/`. A layer imports only layers below it.
pub const LAYERS: [&str; 8] =
    ["interface", "orchestration", "worker", "mlops", "plugins", "core", "configuration", "engine"];

/// A crate and all that it may depend on, without the common `fulmen-`. Any other arrow is a fault.
///
/// To add an arrow is to change the architecture: the same commit says why, in ARCHITECTURE.md.
pub const ARROWS: [(&str, &[&str]); 20] = [
    (
        "cli",
        &[
            "server",
            "runner",
            "manager",
            "tracking",
            "storage",
            "encryption",
            "configuration",
            "contracts",
            "utils",
        ],
    ),
    // Knows stores and artifacts; of runs that are under way it knows nothing.
    ("server", &["tracking", "storage", "encryption"]),
    // The store and its entities pass through the runner to the manager.
    ("runner", &["manager", "tracking", "storage", "encryption", "configuration", "contracts", "utils"]),
    ("manager", &["tracking", "storage", "encryption", "monitoring", "contracts", "utils"]),
    ("tracking", &["storage", "contracts", "utils"]),
    ("storage", &["encryption", "utils"]),
    (
        "worker",
        &[
            "vision",
            "nlp",
            "timeseries",
            "base",
            "strategies",
            "registry",
            "contracts",
            "storage",
            "encryption",
            "utils",
            "torch",
        ],
    ),
    // Domain plugins never know each other.
    ("vision", &["base", "registry", "contracts", "utils", "torch"]),
    ("nlp", &["base", "registry", "contracts", "utils", "torch"]),
    ("timeseries", &["base", "registry", "contracts", "utils", "torch"]),
    ("base", &["strategies", "registry", "contracts", "encryption", "utils", "torch"]),
    ("strategies", &["registry", "contracts", "utils", "torch"]),
    ("registry", &["contracts", "utils"]),
    ("contracts", &["utils"]),
    ("encryption", &["utils"]),
    ("monitoring", &[]),
    ("utils", &[]),
    ("configuration", &[]),
    ("torch", &["torch-sys"]),
    ("torch-sys", &[]),
];

/// What tests may use besides: `(crate, what)` under `[dev-dependencies]`. A test of a component starts from the YAML that
/// a user would write, so whoever declares components may compose configurations in tests.
pub const ARROWS_IN_TESTS: [(&str, &[&str]); 7] = [
    // How a test says what it could not try.
    ("server", &["utils"]),
    ("worker", &["configuration"]),
    ("vision", &["configuration"]),
    ("nlp", &["configuration"]),
    ("timeseries", &["configuration"]),
    ("base", &["configuration"]),
    ("registry", &["configuration"]),
];

/// Arrows of the graph that the table does not have, and crates that it does not know.
pub fn wrong_arrows(graph: &Graph) -> Vec<String> {
    let layered = graph.crates.iter().filter(|one| one.folder.starts_with("crates"));
    layered.flat_map(wrong_arrows_of).collect()
}

fn wrong_arrows_of(from: &Crate) -> Vec<String> {
    if targets(&ARROWS, short(&from.name)).is_none() {
        return vec![format!(
            "{} ({}) is not in the table of arrows: add it to ARROWS in tools/tidy/src/arrows.rs",
            from.name,
            from.folder.display()
        )];
    }
    let wrong = from.arrows.iter().filter(|(to, kind)| !is_allowed(short(&from.name), short(to), *kind));
    wrong
        .map(|(to, kind)| {
            format!(
                "{} must not depend on {to} ({kind:?} dependency): the table in tools/tidy/src/arrows.rs has no such arrow",
                from.name
            )
        })
        .collect()
}

fn is_allowed(from: &str, to: &str, kind: Kind) -> bool {
    let in_table = |table| targets(table, from).is_some_and(|targets: &[&str]| targets.contains(&to));
    // A crate may name itself in its tests, to switch a feature on.
    in_table(&ARROWS) || (kind == Kind::Dev && (in_table(&ARROWS_IN_TESTS) || from == to))
}

/// Arrows of the table itself that lead upwards between the layers where the crates of `graph` lie, and circles in it.
pub fn arrows_against_the_layers(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for one in &graph.crates {
        let from = short(&one.name);
        let (Some(targets), Some(height)) = (targets(&ARROWS, from), layer(&one.folder)) else { continue };
        for to in targets {
            let below = graph.find(&format!("fulmen-{to}")).and_then(|target| layer(&target.folder));
            if below.is_some_and(|below| below < height) {
                found.push(format!("the table has {from} -> {to}, which leads up"));
            }
        }
        if reaches(from, from) {
            found.push(format!("the table has a circle through {from}"));
        }
    }
    found
}

/// Whether a way of one arrow or more leads from `from` to `goal` in the table.
fn reaches(from: &str, goal: &str) -> bool {
    let mut seen = vec![];
    let mut open: Vec<&str> = targets(&ARROWS, from).unwrap_or_default().to_vec();
    while let Some(next) = open.pop() {
        if next == goal {
            return true;
        }
        if !seen.contains(&next) {
            seen.push(next);
            open.extend(targets(&ARROWS, next).unwrap_or_default());
        }
    }
    false
}

/// Crates under `crates/` that lie in no layer.
pub fn crates_outside_the_layers(graph: &Graph) -> Vec<String> {
    let strays =
        graph.crates.iter().filter(|one| one.folder.starts_with("crates") && layer(&one.folder).is_none());
    strays
        .map(|one| {
            format!("{} lies in {}, which is none of the layers {LAYERS:?}", one.name, one.folder.display())
        })
        .collect()
}

/// Place of a crate's layer in [`LAYERS`]: 0 is the top.
fn layer(folder: &Path) -> Option<usize> {
    let mut parts = folder.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let layer = (parts.next()? == "crates").then(|| parts.next())??;
    LAYERS.iter().position(|known| *known == layer)
}

fn short(name: &str) -> &str {
    name.strip_prefix("fulmen-").unwrap_or(name)
}

fn targets<'table>(table: &[(&str, &'table [&'table str])], from: &str) -> Option<&'table [&'table str]> {
    table.iter().find(|(name, _)| *name == from).map(|(_, targets)| *targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Sketch<'text> = (&'text str, &'text str, &'text [(&'text str, Kind)]);

    fn graph(crates: &[Sketch]) -> Graph {
        let crates = crates.iter().map(|(name, folder, arrows)| Crate {
            name: (*name).into(),
            folder: folder.into(),
            arrows: arrows.iter().map(|(to, kind)| ((*to).into(), *kind)).collect(),
        });
        Graph { crates: crates.collect(), ..Graph::default() }
    }

    fn check_one(name: &str, folder: &str, to: &str, kind: Kind) -> Vec<String> {
        wrong_arrows(&graph(&[(name, folder, &[(to, kind)])]))
    }

    #[test]
    fn an_arrow_of_the_table_is_right() {
        assert!(check_one("fulmen-base", "crates/core/base", "fulmen-contracts", Kind::Normal).is_empty());
    }

    #[test]
    fn an_arrow_that_leads_up_is_wrong() {
        let found = check_one("fulmen-base", "crates/core/base", "fulmen-tracking", Kind::Normal);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("fulmen-base must not depend on fulmen-tracking"), "{found:?}");
    }

    #[test]
    fn an_arrow_that_leads_down_is_wrong_unless_the_table_has_it() {
        assert_eq!(check_one("fulmen-cli", "crates/interface/cli", "fulmen-torch", Kind::Normal).len(), 1);
    }

    #[test]
    fn two_domain_plugins_never_know_each_other_not_even_in_tests() {
        for kind in [Kind::Normal, Kind::Dev, Kind::Build] {
            assert_eq!(
                check_one("fulmen-vision", "crates/plugins/vision", "fulmen-nlp", kind).len(),
                1,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn an_arrow_for_tests_is_wrong_elsewhere() {
        let check = |kind| check_one("fulmen-base", "crates/core/base", "fulmen-configuration", kind);
        assert!(check(Kind::Dev).is_empty());
        assert_eq!(check(Kind::Normal).len(), 1);
        assert_eq!(check(Kind::Build).len(), 1);
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_found() {
        let found = wrong_arrows(&graph(&[("fulmen-extra", "crates/core/extra", &[])]));
        assert!(found[0].contains("fulmen-extra (crates/core/extra) is not in the table"), "{found:?}");
    }

    #[test]
    fn a_crate_in_an_unknown_layer_is_found() {
        let strays = graph(&[("fulmen-extra", "crates/misc/extra", &[]), ("fulmen-tidy", "tools/tidy", &[])]);
        assert_eq!(crates_outside_the_layers(&strays).len(), 1);
    }

    #[test]
    fn a_crate_moved_to_a_higher_layer_turns_its_arrows_upwards() {
        let moved = graph(&[
            ("fulmen-registry", "crates/core/registry", &[]),
            ("fulmen-contracts", "crates/mlops/contracts", &[]),
        ]);
        assert_eq!(
            arrows_against_the_layers(&moved),
            ["the table has registry -> contracts, which leads up"]
        );
    }

    #[test]
    fn no_crate_of_the_table_reaches_itself() {
        for (name, _) in ARROWS {
            assert!(!reaches(name, name), "{name}");
        }
        assert!(reaches("cli", "utils") && !reaches("utils", "cli"));
    }
}
