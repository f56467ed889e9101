//! Searches page by page: a checked request, and the row keys of a page.

use super::{
    Bind, Fault,
    query::{Column, Sql, order_columns, push_after, push_order},
    session::Session,
    value::Value,
};
use crate::{
    Page, TrackingError,
    filter::{Clause, OrderKey},
    page_token,
};

/// A search that has been read and checked, before the database is asked.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) clauses: Vec<Clause>,
    pub(super) order: Vec<OrderKey>,
    page_size: usize,
    /// What a page token must have been made for.
    identity: String,
    columns: Vec<Column>,
    after: Option<Vec<Value>>,
}

impl Search {
    /// A search with these clauses, ordered by `order` and then by the columns `last`, which make the order total.
    pub(super) fn new(
        clauses: Vec<Clause>,
        order: Vec<OrderKey>,
        last: &[(&str, bool)],
        page_size: usize,
        identity: String,
        page_token: Option<&str>,
    ) -> Result<Self, TrackingError> {
        let columns = order_columns(&order, last);
        let after = values_of(page_token, &identity, columns.len())?;
        Ok(Self { clauses, order, page_size, identity, columns, after })
    }

    /// Runs `SELECT * FROM (inner) …` and returns the row keys of a page, with the token of the next.
    pub(super) fn page_of_keys(&self, session: &Session<'_>, inner: Sql) -> Result<Page<i64>, Fault> {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        let mut sql = inner;
        sql.text = format!("SELECT row_key, {} FROM ({}) AS found", names.join(", "), sql.text);
        if let Some(last) = &self.after {
            push_after(&mut sql, &self.columns, last);
        }
        push_order(&mut sql, &self.columns);
        // One row more tells whether there is a next page.
        sql.push(" LIMIT ").bind(self.page_size as i64 + 1);

        let values: Vec<&dyn Bind> = sql.values.iter().map(|value| value as &dyn Bind).collect();
        let mut last = Vec::new();
        let mut row_number = 0;
        let mut keys: Vec<i64> = session.all(&sql.text, &values, |row| {
            row_number += 1;
            if row_number == self.page_size {
                last = (1..=names.len()).map(|index| row.get(index)).collect::<Result<_, _>>()?;
            }
            row.get(0)
        })?;
        let has_more = keys.len() > self.page_size;
        keys.truncate(self.page_size);
        Ok(Page { items: keys, next_page_token: has_more.then(|| token_after(&self.identity, last)) })
    }
}

/// A token for the page after the row with these values.
pub(super) fn token_after(identity: &str, last: Vec<Value>) -> String {
    page_token::encode(identity, last.into_iter().map(Into::into).collect())
}

/// The values in a token of the search `identity`, where there is a token.
pub(super) fn values_of(
    page_token: Option<&str>,
    identity: &str,
    columns: usize,
) -> Result<Option<Vec<Value>>, TrackingError> {
    // MLflow's clients send an empty one for the first page.
    let Some(token) = page_token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let cells = page_token::decode(identity, token, columns)?;
    Ok(Some(cells.into_iter().map(Into::into).collect()))
}
