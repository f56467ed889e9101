//! Who must not link libtorch: `fulmen` starts in milliseconds because nothing that it stands on does.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Graph;

/// Crates whose programs and tests run without libtorch.
pub const TORCH_FREE: [&str; 9] = [
    "fulmen-cli",
    "fulmen-runner",
    "fulmen-manager",
    "fulmen-tracking",
    "fulmen-storage",
    "fulmen-configuration",
    "fulmen-registry",
    "fulmen-contracts",
    "fulmen-utils",
];

/// Packages that link libtorch.
const TORCH: [&str; 3] = ["tch", "torch-sys", "fulmen-torch-sys"];

/// Ways from a crate that must be free of libtorch to one that links it, through whatever lies between.
pub fn ways_to_torch(graph: &Graph) -> Vec<String> {
    let ways = TORCH_FREE.iter().filter_map(|from| way_to_torch(&graph.linked, from));
    ways.map(|way| format!("{} must not link libtorch, but does: {}", way[0], way.join(" -> "))).collect()
}

/// Names in the list that no crate of the workspace has: a renamed crate would otherwise go unchecked.
pub fn unknown_names(graph: &Graph) -> Vec<String> {
    let unknown = TORCH_FREE.iter().filter(|name| graph.find(name).is_none());
    unknown
        .map(|name| {
            format!("{name} is listed in tools/tidy/src/torch_free.rs but is no crate of the workspace")
        })
        .collect()
}

fn way_to_torch<'graph>(
    linked: &'graph BTreeMap<String, BTreeSet<String>>,
    from: &'graph str,
) -> Option<Vec<&'graph str>> {
    let mut seen = BTreeSet::from([from]);
    let mut ways = vec![vec![from]];
    while let Some(way) = ways.pop() {
        let here = *way.last()?;
        if TORCH.contains(&here) {
            return Some(way);
        }
        for next in linked.get(here).into_iter().flatten() {
            if seen.insert(next) {
                ways.push([way.as_slice(), &[next]].concat());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(links: &[(&str, &[&str])]) -> Graph {
        let linked = links
            .iter()
            .map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect()));
        Graph { linked: linked.collect(), ..Graph::default() }
    }

    #[test]
    fn libtorch_is_found_behind_other_packages() {
        let graph = graph(&[
            ("fulmen-cli", &["clap", "fulmen-utils"]),
            ("fulmen-utils", &["some-tensors"]),
            ("some-tensors", &["torch-sys"]),
        ]);
        assert_eq!(
            ways_to_torch(&graph),
            [
                "fulmen-cli must not link libtorch, but does: fulmen-cli -> fulmen-utils -> some-tensors -> torch-sys",
                "fulmen-utils must not link libtorch, but does: fulmen-utils -> some-tensors -> torch-sys",
            ]
        );
    }

    #[test]
    fn a_worker_may_link_libtorch() {
        assert!(ways_to_torch(&graph(&[("fulmen-worker", &["tch"]), ("fulmen-cli", &["clap"])])).is_empty());
    }

    #[test]
    fn a_renamed_crate_does_not_escape_unseen() {
        assert_eq!(unknown_names(&Graph::default()).len(), TORCH_FREE.len());
    }
}
