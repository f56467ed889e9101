//! Runs of n tokens, counted.

use std::collections::HashMap;

/// How often each run of `n` tokens occurs.
pub(super) fn ngrams(tokens: &[String], n: usize) -> HashMap<&[String], u64> {
    let mut counts = HashMap::new();
    for run in tokens.windows(n) {
        *counts.entry(run).or_insert(0) += 1;
    }
    counts
}

/// How many runs two counts share.
pub(super) fn overlap(left: &HashMap<&[String], u64>, right: &HashMap<&[String], u64>) -> u64 {
    left.iter().filter_map(|(run, count)| Some(*count.min(right.get(run)?))).sum()
}
