//! The map of the house, ARCHITECTURE.md, must know every crate.

use crate::graph::Graph;

/// Crates under `crates/` that the text names neither as a package (`fulmen-base`) nor by folder (`core/base`).
pub fn crates_missing_from(text: &str, graph: &Graph) -> Vec<String> {
    let layered = graph.crates.iter().filter(|one| one.folder.starts_with("crates"));
    let missing = layered.filter(|one| {
        let folder = one.folder.to_string_lossy();
        !has_word(text, &one.name) && !has_word(text, folder.strip_prefix("crates/").unwrap_or(&folder))
    });
    missing
        .map(|one| {
            format!(
                "ARCHITECTURE.md does not mention {} ({}): say what it is for",
                one.name,
                one.folder.display()
            )
        })
        .collect()
}

/// Whether `word` stands in `text` on its own: `fulmen-torch` is not in `fulmen-torch-sys`.
fn has_word(text: &str, word: &str) -> bool {
    let continues =
        |next: Option<char>| next.is_some_and(|next| next.is_alphanumeric() || next == '-' || next == '_');
    text.match_indices(word).any(|(start, _)| {
        !continues(text[..start].chars().next_back()) && !continues(text[start + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Crate;

    fn graph() -> Graph {
        let one =
            |name: &str, folder: &str| Crate { name: name.into(), folder: folder.into(), arrows: vec![] };
        Graph {
            crates: vec![one("fulmen-torch", "crates/engine/torch"), one("fulmen-tidy", "tools/tidy")],
            ..Graph::default()
        }
    }

    #[test]
    fn a_crate_is_named_by_package_or_by_folder() {
        for text in ["`fulmen-torch` wraps", "see crates/engine/torch.", "| engine/torch | safe |"] {
            assert!(crates_missing_from(text, &graph()).is_empty(), "{text}");
        }
    }

    #[test]
    fn part_of_another_name_does_not_count() {
        for text in ["", "fulmen-torch-sys", "engine/torch-sys"] {
            assert_eq!(crates_missing_from(text, &graph()).len(), 1, "{text}");
        }
    }
}
