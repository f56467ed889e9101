//! Searches page by page: a checked request, and the row keys of a page.

use rusqlite::{params_from_iter, types::Value};

use super::{
    error::Fault,
    page_token,
    query::{Column, Sql, order_columns, push_after, push_order},
    session::Session,
};
use crate::{
    Page, TrackingError,
    filter::{Clause, OrderKey},
    limits::invalid,
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
        let after = first_page_or(page_token)
            .map(|token| page_token::decode(&identity, token, columns.len()))
            .transpose()?;
        Ok(Self { clauses, order, page_size, identity, columns, after })
    }

    /// Runs `SELECT * FROM (inner) …` and returns the row keys of a page, with the token of the next.
    pub(super) fn page_of_keys(&self, session: &Session<'_>, inner: Sql) -> Result<Page<i64>, Fault> {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        let mut sql = Sql {
            text: format!("SELECT row_key, {} FROM ({}) AS found", names.join(", "), inner.text),
            ..inner
        };
        if let Some(last) = &self.after {
            push_after(&mut sql, &self.columns, last);
        }
        push_order(&mut sql, &self.columns);
        // One row more tells whether there is a next page.
        sql.push(" LIMIT ").bind(self.page_size as i64 + 1);

        let mut statement = session.sql.prepare(&sql.text)?;
        let mut rows = statement.query(params_from_iter(&sql.values))?;
        let mut keys = Vec::new();
        let mut last = Vec::new();
        while let Some(row) = rows.next()? {
            if keys.len() == self.page_size {
                return Ok(Page {
                    items: keys,
                    next_page_token: Some(page_token::encode(&self.identity, &last)),
                });
            }
            keys.push(row.get(0)?);
            if keys.len() == self.page_size {
                last = (1..=names.len()).map(|index| row.get(index)).collect::<Result<_, _>>()?;
            }
        }
        Ok(Page { items: keys, next_page_token: None })
    }
}

/// MLflow's clients send an empty token for the first page.
pub(super) fn first_page_or(page_token: Option<&str>) -> Option<&str> {
    page_token.filter(|token| !token.is_empty())
}

pub(super) fn page_size(asked: Option<usize>, usual: usize, largest: usize) -> Result<usize, TrackingError> {
    match asked {
        None => Ok(usual),
        Some(size) if (1..=largest).contains(&size) => Ok(size),
        Some(size) => {
            Err(invalid("max_results", &size.to_string(), &format!("it has to lie between 1 and {largest}")))
        }
    }
}
