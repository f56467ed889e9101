//! Metrics with their history.

use fulmen_tracking::{HistoryQuery, Metric, Page};

use super::{Call, Route, get, list, page};
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
        max_results: call.fields.count("max_results")?,
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
    let mut runs = run_ids(call, "run_id")?;
    runs.sort();
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
    list("metrics", found.iter().map(|(run_id, metric)| WireMetric::of_run(metric, run_id)).collect())
}

/// At most so many points a run, evenly spread, the first and the last among them.
fn sampled(call: &Call<'_>) -> Result<Vec<u8>, ApiError> {
    let runs = run_ids(call, "run_ids")?;
    let most = call.fields.count("max_results")?.unwrap_or(MAX_SAMPLE);
    if !(1..=MAX_SAMPLE).contains(&most) {
        return Err(ApiError::invalid(format!("max_results must be between 1 and {MAX_SAMPLE}.")));
    }
    let steps = match (call.fields.integer("start_step")?, call.fields.integer("end_step")?) {
        (Some(start), Some(end)) if start <= end => start..=end,
        (None, None) => i64::MIN..=i64::MAX,
        (Some(_), Some(_)) => return Err(ApiError::invalid("end_step must be greater than start_step.")),
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

fn run_ids(call: &Call<'_>, field: &str) -> Result<Vec<String>, ApiError> {
    let runs = call.fields.texts(field)?;
    match runs.len() {
        0 => Err(ApiError::invalid(format!("Missing value for required parameter '{field}'."))),
        1..=MAX_RUNS => Ok(runs),
        count => Err(ApiError::invalid(format!(
            "{field} names {count} runs, at most {MAX_RUNS} may be asked for."
        ))),
    }
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

/// At most `most` of the indices below `total`, evenly spaced, the first and the last among them.
fn evenly_spaced(total: usize, most: usize) -> Vec<usize> {
    match (total, most) {
        (0, _) => Vec::new(),
        _ if total <= most => (0..total).collect(),
        (_, 1) => vec![total - 1],
        _ => (0..most).map(|place| (place * (total - 1) + (most - 1) / 2) / (most - 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_both_ends() {
        assert_eq!(evenly_spaced(5, 10), [0, 1, 2, 3, 4]);
        assert_eq!(evenly_spaced(9, 3), [0, 4, 8]);
        assert_eq!(evenly_spaced(9, 1), [8]);
        let spread = evenly_spaced(100_000, 320);
        assert_eq!((spread[0], spread[319], spread.len()), (0, 99_999, 320));
        assert!(spread.windows(2).all(|pair| (312..=314).contains(&(pair[1] - pair[0]))));
    }
}
