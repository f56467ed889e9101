//! Runs side by side: in what they differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Run, TrackingError, TrackingStore};

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
    let params = differences(&runs, |run| {
        run.data.params.iter().map(|param| (param.key.as_str(), param.value.clone())).collect()
    });
    let params = keep(params, |left, right| left == right);
    let metrics = differences(&runs, |run| {
        run.data.metrics.iter().map(|metric| (metric.key.as_str(), metric.value)).collect()
    });
    // By bits: NaN equals itself here.
    let metrics = keep(metrics, |left, right| left.to_bits() == right.to_bits());
    Ok(Comparison { runs, params, metrics })
}

fn differences<'a, T: Clone>(
    runs: &'a [Run],
    values: impl Fn(&'a Run) -> BTreeMap<&'a str, T>,
) -> Vec<Difference<T>> {
    let columns: Vec<_> = runs.iter().map(values).collect();
    let keys: BTreeSet<&str> = columns.iter().flat_map(|column| column.keys().copied()).collect();
    let of_key = |key: &str| columns.iter().map(|column| column.get(key).cloned()).collect();
    keys.into_iter().map(|key| Difference { key: key.to_owned(), values: of_key(key) }).collect()
}

fn keep<T>(mut all: Vec<Difference<T>>, same: impl Fn(&T, &T) -> bool) -> Vec<Difference<T>> {
    all.retain(|difference| {
        !difference.values.windows(2).all(|pair| match (&pair[0], &pair[1]) {
            (Some(left), Some(right)) => same(left, right),
            (left, right) => left.is_none() && right.is_none(),
        })
    });
    all
}
