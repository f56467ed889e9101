//! Runs side by side: in what they differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Metric, Run, TrackingError, TrackingStore};

/// Runs side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The runs, in the order in which they were asked for; each difference has its values in the same order.
    pub runs: Vec<Run>,
    /// Params that differ, or that some runs lack.
    pub params: Vec<Difference<String>>,
    /// Metrics whose latest values differ, or that some runs lack.
    pub metrics: Vec<Difference<f64>>,
}

/// One key in which runs differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference<T> {
    /// The key.
    pub key: String,
    /// The value in each run; `None` where a run has none.
    pub values: Vec<Option<T>>,
}

/// Reads the runs and lists the params and metrics in which they differ, sorted by key.
///
/// # Errors
/// [`TrackingError::NotFound`] for an unknown run, and what the store may fail with.
pub fn compare(store: &dyn TrackingStore, run_ids: &[&str]) -> Result<Comparison, TrackingError> {
    let runs = run_ids.iter().map(|run_id| store.run(run_id)).collect::<Result<Vec<_>, _>>()?;
    let params: Vec<BTreeMap<String, String>> = (runs.iter())
        .map(|run| run.data.params.iter().map(|param| (param.key.clone(), param.value.clone())).collect())
        .collect();
    let metrics: Vec<&[Metric]> = runs.iter().map(|run| run.data.metrics.as_slice()).collect();
    let (params, metrics) = (differences(&params), differences_of_metrics(&metrics));
    Ok(Comparison { runs, params, metrics })
}

/// The keys in which these differ, with the value of each, sorted by key.
#[must_use]
pub fn differences(sides: &[BTreeMap<String, String>]) -> Vec<Difference<String>> {
    let sides: Vec<BTreeMap<&str, String>> = sides
        .iter()
        .map(|side| side.iter().map(|(key, value)| (key.as_str(), value.clone())).collect())
        .collect();
    different(&sides, |left, right| left == right)
}

/// The metrics in which these differ, with the value of each, sorted by key.
#[must_use]
pub fn differences_of_metrics(sides: &[&[Metric]]) -> Vec<Difference<f64>> {
    let sides: Vec<BTreeMap<&str, f64>> = (sides.iter())
        .map(|side| side.iter().map(|metric| (metric.key.as_str(), metric.value)).collect())
        .collect();
    // By bits: NaN equals itself here.
    different(&sides, |left, right| left.to_bits() == right.to_bits())
}

fn different<T: Clone>(sides: &[BTreeMap<&str, T>], same: impl Fn(&T, &T) -> bool) -> Vec<Difference<T>> {
    let keys: BTreeSet<&str> = sides.iter().flat_map(|side| side.keys().copied()).collect();
    let of_key = |key: &str| sides.iter().map(|side| side.get(key).cloned()).collect::<Vec<_>>();
    let alike = |values: &[Option<T>]| {
        values.windows(2).all(|pair| match (&pair[0], &pair[1]) {
            (Some(left), Some(right)) => same(left, right),
            (left, right) => left.is_none() && right.is_none(),
        })
    };
    keys.into_iter()
        .map(|key| Difference { key: key.to_owned(), values: of_key(key) })
        .filter(|difference| !alike(&difference.values))
        .collect()
}
