//! How deep a parameter lies in its network, by its name alone, for layer-wise learning rates.

use std::collections::BTreeSet;

/// First parts of a name that stand before the blocks; `embed` anywhere in a part does too.
const STEMS: [&str; 12] = [
    "stem",
    "conv1",
    "bn1",
    "patch_embed",
    "pos_embed",
    "cls_token",
    "class_token",
    "wte",
    "wpe",
    "tok_emb",
    "pos_emb",
    "emb",
];

/// The depth of each name, and the greatest: 0 for the stem, 1 and up for the blocks in the order of their numbers, then one
/// more for the head. None where the names have fewer than two numbered blocks.
pub(super) fn depths<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<(Vec<usize>, usize)> {
    let blocks: Vec<_> = names.clone().filter_map(block).collect::<BTreeSet<_>>().into_iter().collect();
    if blocks.len() < 2 {
        return None;
    }
    let head = blocks.len() + 1;
    let depth = |name| match block(name) {
        Some(block) => blocks.binary_search(&block).map_or(head, |index| index + 1),
        None if is_stem(name) => 0,
        None => head,
    };
    let depths: Vec<_> = names.map(depth).collect();
    // Where the last block is the head, as in a plain stack of layers, it has the full rate.
    let greatest = depths.iter().copied().max()?;
    Some((depths, greatest))
}

/// The numbers of the block that `name` lies in: those of its parts up to the first that is a number and nothing else.
/// `layer2.1.conv1.weight` is in block (2, 1), `transformer.h.11.ln_1.bias` in block (11).
fn block(name: &str) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    for part in name.split('.') {
        let digits = part.trim_start_matches(|c: char| !c.is_ascii_digit());
        if let Ok(number) = digits.parse() {
            numbers.push(number);
            if digits == part {
                return Some(numbers);
            }
        }
    }
    None
}

fn is_stem(name: &str) -> bool {
    name.split('.').any(|part| part.contains("embed") || STEMS.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::depths;

    fn of(names: &[&str]) -> (Vec<usize>, usize) {
        depths(names.iter().copied()).unwrap()
    }

    #[test]
    fn a_transformers_blocks_are_ordered_by_number_between_embeddings_and_head() {
        let names = [
            "lm_head.weight",
            "transformer.h.0.attn.weight",
            "transformer.h.10.attn.weight",
            "transformer.h.2.ln_1.bias",
            "transformer.ln_f.weight",
            "transformer.wte.weight",
        ];
        assert_eq!(of(&names), (vec![4, 1, 3, 2, 4, 0], 4));
    }

    #[test]
    fn a_resnets_blocks_are_ordered_by_stage_and_block() {
        let names = [
            "bn1.weight",
            "conv1.weight",
            "fc.bias",
            "layer1.0.conv1.weight",
            "layer1.1.bn2.bias",
            "layer2.0.conv2.weight",
        ];
        assert_eq!(of(&names), (vec![0, 0, 4, 1, 2, 3], 4));
    }

    #[test]
    fn a_plain_stack_ends_with_its_last_layer() {
        assert_eq!(of(&["layers.0.weight", "layers.1.weight", "layers.2.weight"]), (vec![1, 2, 3], 3));
    }

    #[test]
    fn names_without_blocks_have_no_depth() {
        assert_eq!(depths(["fc1.weight", "fc2.weight"].into_iter()), None);
    }
}
