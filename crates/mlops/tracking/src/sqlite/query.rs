//! Filters and orders as SQL. Everything that a user wrote becomes a bound parameter; the text of the query is ours.

use rusqlite::types::Value;

use crate::{
    ViewType,
    filter::{Attribute, Clause, Field, OrderKey, Scope, Test},
};

/// SQL text with the values of its `?`, in order.
#[derive(Debug, Default)]
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Sql {
    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.text.push('?');
        self.values.push(value.into());
        self
    }

    /// The value of a field, NULL where it is absent or NaN. `artifact_root` completes artifact URIs.
    fn push_field(&mut self, scope: Scope, field: &Field, artifact_root: &str) -> &mut Self {
        match field {
            Field::Metric(key) => self
                .push("(SELECT CASE m.is_nan WHEN 0 THEN m.value END FROM latest_metrics m WHERE m.run = r.run AND m.metric_key = ")
                .push("(SELECT k.metric_key FROM metric_keys k WHERE k.key = ")
                .bind(key.clone())
                .push("))"),
            Field::Param(key) => {
                self.push("(SELECT p.value FROM params p WHERE p.run = r.run AND p.key = ").bind(key.clone()).push(")")
            }
            Field::Tag(key) if scope == Scope::Runs => {
                self.push("(SELECT t.value FROM tags t WHERE t.run = r.run AND t.key = ").bind(key.clone()).push(")")
            }
            Field::Tag(key) => self
                .push("(SELECT t.value FROM experiment_tags t WHERE t.experiment_id = e.experiment_id AND t.key = ")
                .bind(key.clone())
                .push(")"),
            Field::Attribute(Attribute::ArtifactUri) => self
                .push("(coalesce(e.artifact_location, ")
                .bind(artifact_root.to_owned())
                .push(" || '/' || e.experiment_id) || '/' || r.run_id || '/artifacts')"),
            Field::Attribute(attribute) => self.push(column(*attribute)),
        }
    }

    /// ` AND …` for each clause.
    pub(super) fn push_clauses(&mut self, scope: Scope, clauses: &[Clause], artifact_root: &str) {
        for Clause { field, test } in clauses {
            self.push(" AND ").push_field(scope, field, artifact_root);
            match test {
                Test::Number { comparison, value } => {
                    self.push(" ").push(comparison.sign()).push(" ").bind(*value);
                }
                Test::Text { comparison, value } => {
                    self.push(" ").push(comparison.sign()).push(" ").bind(value.clone());
                }
                // SQLite's LIKE ignores case (of ASCII letters), its GLOB does not.
                Test::Like { pattern, ignore_case: true } => {
                    self.push(" LIKE ").bind(pattern.clone());
                }
                Test::Like { pattern, ignore_case: false } => {
                    self.push(" GLOB ").bind(glob(pattern));
                }
                Test::In { negated, values } => {
                    let list = serde_json::Value::from(values.clone()).to_string();
                    let keyword = if *negated { " NOT IN " } else { " IN " };
                    self.push(keyword).push("(SELECT value FROM json_each(").bind(list).push("))");
                }
                Test::Null { negated } => {
                    self.push(if *negated { " IS NOT NULL" } else { " IS NULL" });
                }
            }
        }
    }

    /// `, … AS o0, … AS o1`: the values of the order's keys.
    pub(super) fn push_order_columns(&mut self, scope: Scope, keys: &[OrderKey], artifact_root: &str) {
        for (index, key) in keys.iter().enumerate() {
            self.push(", ").push_field(scope, &key.field, artifact_root).push(&format!(" AS o{index}"));
        }
    }

    pub(super) fn push_view(&mut self, view: ViewType, column: &str) {
        match view {
            ViewType::ActiveOnly => self.push(&format!(" AND {column} IS NULL")),
            ViewType::DeletedOnly => self.push(&format!(" AND {column} IS NOT NULL")),
            ViewType::All => self,
        };
    }
}

/// A column of an order, as a name in the query, and its direction. Absent values come last either way.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) descending: bool,
}

/// The columns of an order: the keys, then those that make it total.
pub(super) fn order_columns(keys: &[OrderKey], last: &[Column]) -> Vec<Column> {
    let keys = keys.iter().enumerate();
    let keys = keys.map(|(index, key)| Column { name: format!("o{index}"), descending: key.descending });
    keys.chain(last.iter().cloned()).collect()
}

/// ` ORDER BY …`
pub(super) fn push_order(sql: &mut Sql, columns: &[Column]) {
    let parts = columns.iter().map(|Column { name, descending }| {
        let direction = if *descending { "DESC" } else { "ASC" };
        format!("{name} {direction} NULLS LAST")
    });
    sql.push(" ORDER BY ").push(&parts.collect::<Vec<_>>().join(", "));
}

/// ` WHERE …`: the rows that come after the row with these values in the order. Not an offset, so rows that are added or
/// removed meanwhile shift nothing.
pub(super) fn push_after(sql: &mut Sql, columns: &[Column], last: &[Value]) {
    sql.push(" WHERE (");
    for (index, (column, value)) in columns.iter().zip(last).enumerate() {
        if index > 0 {
            sql.push(" OR ");
        }
        sql.push("(");
        for (equal, value) in columns.iter().zip(last).take(index) {
            sql.push(&equal.name).push(" IS ").bind(value.clone()).push(" AND ");
        }
        let name = &column.name;
        if *value == Value::Null {
            // Nothing comes after an absent value.
            sql.push("0");
        } else {
            let sign = if column.descending { "<" } else { ">" };
            sql.push(&format!("({name} IS NULL OR {name} {sign} ")).bind(value.clone()).push(")");
        }
        sql.push(")");
    }
    sql.push(")");
}

fn column(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::RunId => "r.run_id",
        Attribute::RunName => "r.run_name",
        Attribute::Status => "r.status",
        Attribute::UserId => "r.user_id",
        Attribute::StartTime => "r.start_time",
        Attribute::EndTime => "r.end_time",
        // Text to its users, and compared as text.
        Attribute::ExperimentId => "CAST(e.experiment_id AS TEXT)",
        Attribute::Name => "e.name",
        Attribute::CreationTime => "e.creation_time",
        Attribute::LastUpdateTime => "e.last_update_time",
        Attribute::ArtifactUri => "NULL",
    }
}

/// A LIKE pattern (`%`, `_`) as a GLOB pattern (`*`, `?`).
fn glob(like: &str) -> String {
    let mut glob = String::with_capacity(like.len());
    for character in like.chars() {
        match character {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '*' | '?' | '[' => {
                glob.push('[');
                glob.push(character);
                glob.push(']');
            }
            _ => glob.push(character),
        }
    }
    glob
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What LIKE means, in the plainest way.
    fn matches(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
            Some(('_', rest)) => !text.is_empty() && matches(rest, &text[1..]),
            Some((first, rest)) => text.first() == Some(first) && matches(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_what_its_like_pattern_does(pattern in "[aA%_*?\\[\\]^-]{0,8}", text in "[aA%_*?\\[\\]^-]{0,8}") {
            let connection = rusqlite::Connection::open_in_memory().unwrap();
            let found: bool = connection.query_row("SELECT ? GLOB ?", [&text, &glob(&pattern)], |row| row.get(0)).unwrap();
            let pattern: Vec<char> = pattern.chars().collect();
            let text: Vec<char> = text.chars().collect();
            prop_assert_eq!(found, matches(&pattern, &text));
        }
    }
}
