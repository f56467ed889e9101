//! Searches over runs and experiments, and the history of a metric, page by page.

use super::{
    Bind, Fault, experiments, metrics,
    paging::{Search, token_after, values_of},
    query::Sql,
    runs,
    session::Session,
    value::Value,
};
use crate::{
    Experiment, HistoryQuery, Metric, Page, Run, SearchExperiments, SearchRuns, TrackingError, ViewType,
    filter::{Scope, parse_filter, parse_order_by},
    limits::page_size,
};

/// Results of a page unless it is asked otherwise.
const USUAL_PAGE: usize = 1000;
/// MLflow's largest page of runs or experiments.
const LARGEST_PAGE: usize = 50_000;
/// MLflow's largest page of a history.
const LARGEST_HISTORY_PAGE: usize = 25_000;

pub(super) fn prepare_runs(search: &SearchRuns) -> Result<Search, TrackingError> {
    Search::new(
        parse_filter(Scope::Runs, &search.filter)?,
        parse_order_by(Scope::Runs, &search.order_by)?,
        &[("start_time", true), ("run_id", false)],
        page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
        format!(
            "runs {:?} {:?} {:?} {:?}",
            search.experiment_ids, search.filter, search.view, search.order_by
        ),
        search.page_token.as_deref(),
    )
}

pub(super) fn runs(
    session: &Session<'_>,
    search: &Search,
    experiment_ids: &[String],
    view: ViewType,
) -> Result<Page<Run>, Fault> {
    let mut sql = Sql::new(session.dialect());
    sql.push("SELECT r.run AS row_key, r.start_time, r.run_id");
    sql.push_order_columns(Scope::Runs, &search.order, session.artifact_root);
    sql.push(" FROM runs r JOIN experiments e USING (experiment_id) WHERE r.experiment_id");
    sql.push_in_keys(&experiment_keys(experiment_ids));
    sql.push_view(view, "r.deleted_time");
    sql.push_clauses(Scope::Runs, &search.clauses, session.artifact_root);
    let page = search.page_of_keys(session, sql)?;
    Ok(Page { items: runs::load(session, &page.items)?, next_page_token: page.next_page_token })
}

/// An id that is no number names no experiment here.
pub(super) fn experiment_keys(experiment_ids: &[String]) -> Vec<i64> {
    experiment_ids.iter().filter_map(|id| id.parse().ok()).collect()
}

pub(super) fn prepare_experiments(search: &SearchExperiments) -> Result<Search, TrackingError> {
    Search::new(
        parse_filter(Scope::Experiments, &search.filter)?,
        parse_order_by(Scope::Experiments, &search.order_by)?,
        &[("creation_time", true), ("experiment_id", true)],
        page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
        format!("experiments {:?} {:?} {:?}", search.filter, search.view, search.order_by),
        search.page_token.as_deref(),
    )
}

pub(super) fn experiments(
    session: &Session<'_>,
    search: &Search,
    view: ViewType,
) -> Result<Page<Experiment>, Fault> {
    let mut sql = Sql::new(session.dialect());
    sql.push("SELECT e.experiment_id AS row_key, e.creation_time, e.experiment_id");
    sql.push_order_columns(Scope::Experiments, &search.order, session.artifact_root);
    sql.push(" FROM experiments e WHERE 1 = 1");
    sql.push_view(view, "e.deleted_time");
    sql.push_clauses(Scope::Experiments, &search.clauses, session.artifact_root);
    let page = search.page_of_keys(session, sql)?;
    Ok(Page { items: experiments::load(session, &page.items)?, next_page_token: page.next_page_token })
}

/// A checked request for a history.
#[derive(Debug)]
pub(super) struct HistorySearch {
    run_id: String,
    key: String,
    page_size: usize,
    identity: String,
    after: Vec<Value>,
}

/// The columns that identify a point within its metric, in the order of the primary key.
const POINT: &str = "step, timestamp, axis, is_nan, value";

pub(super) fn prepare_history(query: &HistoryQuery) -> Result<HistorySearch, TrackingError> {
    let identity = format!("history {:?} {:?}", query.run_id, query.key);
    let after = values_of(query.page_token.as_deref(), &identity, 5)?;
    // Before the first point: no step is smaller.
    let first = || {
        vec![
            Value::Integer(i64::MIN),
            Value::Integer(i64::MIN),
            Value::Integer(-1),
            Value::Integer(0),
            Value::Real(0.0),
        ]
    };
    Ok(HistorySearch {
        run_id: query.run_id.clone(),
        key: query.key.clone(),
        page_size: page_size(query.max_results, LARGEST_HISTORY_PAGE, LARGEST_HISTORY_PAGE)?,
        identity,
        after: after.unwrap_or_else(first),
    })
}

pub(super) fn history(session: &Session<'_>, query: &HistorySearch) -> Result<Page<Metric>, Fault> {
    let run = session.any_run(&query.run_id)?;
    let sql = format!(
        "SELECT {POINT} FROM metrics WHERE run = ?1 AND metric_key = (SELECT metric_key FROM metric_keys WHERE key = ?2) \
         AND ({POINT}) > (?3, ?4, ?5, ?6, ?7) ORDER BY {POINT} LIMIT ?8"
    );
    let limit = query.page_size as i64 + 1;
    let mut values: Vec<&dyn Bind> = vec![&run, &query.key];
    values.extend(query.after.iter().map(|value| value as &dyn Bind));
    values.push(&limit);
    let mut last = Vec::new();
    let mut row_number = 0;
    let mut items = session.all(&sql, &values, |row| {
        row_number += 1;
        if row_number == query.page_size {
            last = (0..5).map(|index| row.get(index)).collect::<Result<_, _>>()?;
        }
        metrics::from_row(query.key.clone(), row, 0)
    })?;
    let has_more = items.len() > query.page_size;
    items.truncate(query.page_size);
    Ok(Page { items, next_page_token: has_more.then(|| token_after(&query.identity, last)) })
}
