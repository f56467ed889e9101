//! Searches over runs and experiments, and the history of a metric, page by page.

use rusqlite::{params_from_iter, types::Value};

use super::{
    error::Fault,
    experiments, page_token,
    paging::{Search, first_page_or, page_size},
    query::Sql,
    runs,
    session::Session,
};
use crate::{
    Experiment, HistoryQuery, Metric, Page, Run, SearchExperiments, SearchRuns, TrackingError, ViewType,
    filter::{Scope, parse_filter, parse_order_by},
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
    let mut sql = Sql::default();
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
    let mut sql = Sql::default();
    sql.push("SELECT e.experiment_id AS row_key, e.creation_time, e.experiment_id");
    sql.push_order_columns(Scope::Experiments, &search.order, session.artifact_root);
    sql.push(" FROM experiments e WHERE 1 = 1");
    sql.push_view(view, "e.deleted_time");
    sql.push_clauses(Scope::Experiments, &search.clauses, session.artifact_root);
    let page = search.page_of_keys(session, sql)?;
    let sql = format!("SELECT {} FROM experiments e WHERE e.experiment_id = ?", experiments::COLUMNS);
    let mut statement = session.sql.prepare_cached(&sql)?;
    let found =
        page.items.iter().map(|key| statement.query_row([key], |row| experiments::from_row(session, row)));
    let mut items = found.collect::<Result<Vec<_>, _>>()?;
    experiments::attach_tags(session, &mut items)?;
    Ok(Page { items, next_page_token: page.next_page_token })
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
    let token = first_page_or(query.page_token.as_deref());
    let after = token.map(|token| page_token::decode(&identity, token, 5)).transpose()?;
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
        "SELECT {POINT} FROM metrics WHERE run = ? AND metric_key = (SELECT metric_key FROM metric_keys WHERE key = ?) \
         AND ({POINT}) > (?, ?, ?, ?, ?) ORDER BY {POINT} LIMIT ?"
    );
    let mut values = vec![Value::Integer(run), Value::Text(query.key.clone())];
    values.extend(query.after.iter().cloned());
    values.push(Value::Integer(query.page_size as i64 + 1));
    let mut statement = session.sql.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut items = Vec::new();
    let mut last = Vec::new();
    while let Some(row) = rows.next()? {
        if items.len() == query.page_size {
            return Ok(Page { items, next_page_token: Some(page_token::encode(&query.identity, &last)) });
        }
        items.push(runs::metric_from_row(query.key.clone(), row, 0)?);
        if items.len() == query.page_size {
            last = (0..5).map(|index| row.get(index)).collect::<Result<_, _>>()?;
        }
    }
    Ok(Page { items, next_page_token: None })
}
