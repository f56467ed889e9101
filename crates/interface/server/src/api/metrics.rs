//! Metrics with their history.

use fulmen_tracking::{HistoryQuery, Metric, Page};

use super::{Call, Route, get, list, one, page};
use crate::{frame::ApiError, wire::WireMetric};

/// Most runs that one request may ask for, as in MLflow.
const MAX_RUNS: usize = 100;
/// Most points that one request gets, as in MLflow.
const MAX_POINTS: usize = 25_000;
/// Most points a run of a sampled history, as in MLflow.
const MAX_SAMPLE: usize = 2500;

pub(super) const ROUTES: &[Route] = &[
    get("metrics/get-history", history),
    get("metrics/get-history-bulk", bulk),
    get("metrics/get-history-bulk-interval", sampled),
];

fn history(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let query = HistoryQuery {
        run_id: call.fields.run_id()?.to_owned(),
        key: call.fields.required("metric_key")?.to_owned(),
        // A larger page than the largest is cut, as in MLflow.
        max_results: call.fields.count("max_results")?.map(|most| most.min(MAX_POINTS)),
        page_token: call.fields.some_text("page_token")?,
    };
    let found = match query.max_results {
        Some(_) => call.store.metric_history(&query)?,
        // Who asks for no page wants the whole.
        None => Page { items: whole_history(call, query)?, next_page_token: None },
    };
    page::<_, WireMetric<'_>>("metrics", &found)
}

fn bulk(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let mut runs = call.fields.texts("run_id")?;
    match runs.len() {
        0 => {
            let message = "GetMetricHistoryBulk request must specify at least one run_id.";
            return Err(ApiError::invalid(message));
        }
        1..=MAX_RUNS => runs.sort(),
        count => {
            let message = format!(
                "GetMetricHistoryBulk request cannot specify more than {MAX_RUNS} run_ids. Received {count} run_ids."
            );
            return Err(ApiError::invalid(message));
        }
    }
    if call.fields.text("metric_key")?.is_none() {
        return Err(ApiError::invalid("GetMetricHistoryBulk request must specify a metric_key."));
    }
    let most = call.fields.count("max_results")?.unwrap_or(MAX_POINTS).min(MAX_POINTS);
    let mut found = Vec::new();
    for run_id in &runs {
        let mut points = history_of(call, run_id, Some(most.saturating_sub(found.len())))?;
        points.sort_by(|left, right| {
            (left.timestamp, left.step)
                .cmp(&(right.timestamp, right.step))
                .then(left.value.total_cmp(&right.value))
        });
        found.extend(points.into_iter().map(|metric| (run_id, metric)));
        if found.len() >= most {
            break;
        }
    }
    one(
        "metrics",
        found.iter().map(|(run_id, metric)| WireMetric::of_run(metric, run_id)).collect::<Vec<_>>(),
    )
}

/// At most so many points a run, evenly spread, the first and the last among them.
fn sampled(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let runs = call.fields.texts("run_ids")?;
    match runs.len() {
        0 => return Err(call.fields.missing("run_ids")),
        1..=MAX_RUNS => {}
        count => {
            let message = format!(
                "GetMetricHistoryBulkInterval request must specify at most {MAX_RUNS} run_ids. Received {count} run_ids."
            );
            return Err(ApiError::invalid(message));
        }
    }
    let most = call.fields.count("max_results")?.unwrap_or(MAX_SAMPLE);
    if !(1..=MAX_SAMPLE).contains(&most) {
        return Err(ApiError::invalid(format!("max_results must be between 1 and {MAX_SAMPLE}.")));
    }
    let steps = match (call.fields.integer("start_step")?, call.fields.integer("end_step")?) {
        (Some(start), Some(end)) if start <= end => start..=end,
        (None, None) => i64::MIN..=i64::MAX,
        (Some(start), Some(end)) => {
            let message = format!(
                "end_step must be greater than start_step. Found start_step={start} and end_step={end}."
            );
            return Err(ApiError::invalid(message));
        }
        _ => {
            return Err(ApiError::invalid(
                "If either start step or end step are specified, both must be specified.",
            ));
        }
    };
    let mut found = Vec::new();
    for run_id in &runs {
        let mut points = history_of(call, run_id, None)?;
        points.retain(|metric| steps.contains(&metric.step));
        found.extend(
            evenly_spaced(points.len(), most).into_iter().map(|index| (run_id, points[index].clone())),
        );
    }
    list("metrics", found.iter().map(|(run_id, metric)| WireMetric::of_run(metric, run_id)).collect())
}

fn history_of(call: &Call<'_>, run_id: &str, most: Option<usize>) -> Result<Vec<Metric>, ApiError> {
    let key = call.fields.required("metric_key")?.to_owned();
    let query = HistoryQuery { run_id: run_id.to_owned(), key, ..HistoryQuery::default() };
    match most {
        Some(0) => Ok(Vec::new()),
        Some(most) => {
            Ok(call.store.metric_history(&HistoryQuery { max_results: Some(most), ..query })?.items)
        }
        None => whole_history(call, query),
    }
}

fn whole_history(call: &Call<'_>, mut query: HistoryQuery) -> Result<Vec<Metric>, ApiError> {
    let mut found = Vec::new();
    loop {
        let page = call.store.metric_history(&query)?;
        found.extend(page.items);
        match page.next_page_token {
            Some(token) => query.page_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// At most `most` of the indices below `total`, evenly spaced, the last among them, and the first if `most` is more
/// than one. They are those that MLflow takes: the first of each of `most` buckets, the last one's place given to the end.
fn evenly_spaced(total: usize, most: usize) -> Vec<usize> {
    if total <= most {
        return (0..total).collect();
    }
    let (size, larger) = (total / most, total % most);
    let firsts = (0..most - 1).map(|bucket| bucket * size + bucket.min(larger));
    firsts.chain([total - 1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_both_ends() {
        assert_eq!(evenly_spaced(5, 10), [0, 1, 2, 3, 4]);
        assert_eq!(evenly_spaced(9, 3), [0, 3, 8]);
        assert_eq!(evenly_spaced(10, 4), [0, 3, 6, 9]);
        assert_eq!(evenly_spaced(9, 1), [8]);
        let spread = evenly_spaced(100_000, 320);
        assert_eq!((spread[0], spread[319], spread.len()), (0, 99_999, 320));
        let gaps: Vec<usize> = spread.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (last, others) = gaps.split_last().unwrap();
        assert!(others.iter().all(|gap| (312..=313).contains(gap)), "{gaps:?}");
        assert!(*last < 2 * 313, "the end takes the place of the last bucket's first");
    }
}
