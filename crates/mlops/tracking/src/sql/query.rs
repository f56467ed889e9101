//! Filters and orders as SQL. Everything that a user wrote becomes a bound parameter; the text of the query is ours.

use super::{Dialect, value::Value};
use crate::{
    ViewType,
    filter::{Attribute, Clause, Comparison, DatasetField, Field, MetricOnDataset, OrderKey, Scope, Test},
};

/// SQL text with the values of its `?1`, `?2` …, in order.
#[derive(Debug)]
pub(super) struct Sql {
    dialect: Dialect,
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Sql {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, text: String::new(), values: Vec::new() }
    }

    /// A parameter with this value.
    fn parameter(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        let parameter = self.parameter(value);
        self.push(&parameter)
    }

    /// ` IN …` for these row keys.
    pub(super) fn push_in_keys(&mut self, keys: &[i64]) -> &mut Self {
        let parameter = self.parameter(self.dialect.key_list(keys));
        let in_keys = self.dialect.in_keys(&parameter);
        self.push(" ").push(&in_keys)
    }

    /// The value of a field, NULL where it is absent or NaN. `artifact_root` completes artifact URIs.
    fn push_field(&mut self, scope: Scope, field: &Field, artifact_root: &str) -> &mut Self {
        let owner = owner(scope);
        match field {
            Field::Metric(key) | Field::MetricOnDataset(MetricOnDataset { key, .. }) => {
                let table = metrics_table(scope);
                self.push(&format!(
                    "(SELECT CASE WHEN m.is_nan THEN NULL ELSE m.value END FROM {table} m WHERE m.{owner} = {}.{owner} AND m.metric_key = ",
                    alias(scope)
                ));
                self.push("(SELECT k.metric_key FROM metric_keys k WHERE k.key = ")
                    .bind(key.clone())
                    .push(")");
                if let Field::MetricOnDataset(MetricOnDataset { name, digest, .. }) = field {
                    for (column, value) in [("dataset_name", name), ("dataset_digest", digest)] {
                        if let Some(value) = value {
                            self.push(&format!(" AND m.{column} = ")).bind(value.clone());
                        }
                    }
                }
                // Several runs may have measured a model, on several datasets.
                match scope {
                    Scope::LoggedModels => {
                        self.push(" ORDER BY m.step DESC, m.timestamp DESC, m.is_nan, m.value DESC LIMIT 1)")
                    }
                    _ => self.push(")"),
                }
            }
            Field::Param(key) => {
                let table = if scope == Scope::LoggedModels { "logged_model_params" } else { "params" };
                self.push(&text_of(scope, table)).bind(key.clone()).push(")")
            }
            Field::Tag(key) => {
                let table = match scope {
                    Scope::Runs => "tags",
                    Scope::Experiments => "experiment_tags",
                    Scope::RegisteredModels => "registered_model_tags",
                    Scope::ModelVersions => "model_version_tags",
                    Scope::LoggedModels => "logged_model_tags",
                };
                self.push(&text_of(scope, table)).bind(key.clone()).push(")")
            }
            Field::Attribute(Attribute::ArtifactUri) => {
                self.push("(coalesce(e.artifact_location, CAST(").bind(artifact_root).push(
                    " AS TEXT) || '/' || CAST(e.experiment_id AS TEXT)) || '/' || r.run_id || '/artifacts')",
                )
            }
            Field::Attribute(attribute) => self.push(column(scope, *attribute)),
            // Not a value of its own: see `push_clauses`.
            Field::Dataset(_) => self.push("NULL"),
        }
    }

    /// ` AND …` for each clause.
    pub(super) fn push_clauses(&mut self, scope: Scope, clauses: &[Clause], artifact_root: &str) {
        for Clause { field, test } in clauses {
            self.push(" AND ");
            match field {
                Field::Metric(key) => {
                    let (owner, table, alias) = (owner(scope), metrics_table(scope), alias(scope));
                    self.push(&format!("EXISTS (SELECT 1 FROM {table} m WHERE m.{owner} = {alias}.{owner} AND m.metric_key = "))
                        .push("(SELECT k.metric_key FROM metric_keys k WHERE k.key = ")
                        .bind(key.clone());
                    // NaN differs from every number, and is neither less nor greater.
                    let differs = matches!(test, Test::Number { comparison: Comparison::NotEqual, .. });
                    self.push(if differs {
                        ") AND (m.is_nan OR m.value"
                    } else {
                        ") AND (NOT m.is_nan AND m.value"
                    });
                    self.push_test(test).push("))");
                }
                Field::Dataset(DatasetField::Context) => {
                    self.push("EXISTS (SELECT 1 FROM run_dataset_tags t WHERE t.run = r.run AND t.key = ");
                    self.bind(crate::lineage::CONTEXT_TAG).push(" AND t.value").push_test(test).push(")");
                }
                Field::Dataset(field) => {
                    let column = if *field == DatasetField::Name { "name" } else { "digest" };
                    self.push("EXISTS (SELECT 1 FROM run_datasets i JOIN datasets d USING (dataset) WHERE i.run = r.run AND ");
                    self.push(&format!("d.{column}")).push_test(test).push(")");
                }
                field => {
                    self.push_field(scope, field, artifact_root).push_test(test);
                }
            }
        }
    }

    /// What follows the value that is tested.
    fn push_test(&mut self, test: &Test) -> &mut Self {
        match test {
            Test::Number { comparison, value } => self
                .push(" ")
                .push(comparison.sign())
                .push(" CAST(")
                .bind(*value)
                .push(" AS DOUBLE PRECISION)"),
            Test::Text { comparison, value } => {
                self.push(" ").push(comparison.sign()).push(" ").bind(value.as_str())
            }
            Test::Like { pattern, ignore_case } => {
                let (operator, pattern) = self.dialect.like(pattern, *ignore_case);
                self.push(" ").push(operator).push(" ").bind(pattern)
            }
            Test::In { negated, values } => {
                let parameter = self.parameter(serde_json::Value::from(values.clone()).to_string());
                let texts = self.dialect.texts(&parameter);
                self.push(if *negated { " NOT IN " } else { " IN " }).push(&texts)
            }
            Test::Null { negated } => self.push(if *negated { " IS NOT NULL" } else { " IS NULL" }),
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
pub(super) fn order_columns(keys: &[OrderKey], last: &[(&str, bool)]) -> Vec<Column> {
    let keys = keys.iter().enumerate();
    let keys = keys.map(|(index, key)| Column { name: format!("o{index}"), descending: key.descending });
    let last = last.iter().map(|&(name, descending)| Column { name: name.to_owned(), descending });
    keys.chain(last).collect()
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
            sql.push(&equal.name).push(" IS NOT DISTINCT FROM ").bind(value.clone()).push(" AND ");
        }
        let name = &column.name;
        if *value == Value::Null {
            // Nothing comes after an absent value.
            sql.push("1 = 0");
        } else {
            let sign = if column.descending { "<" } else { ">" };
            sql.push(&format!("({name} IS NULL OR {name} {sign} ")).bind(value.clone()).push(")");
        }
        sql.push(")");
    }
    sql.push(")");
}

/// How a query calls the table of what is searched.
fn alias(scope: Scope) -> &'static str {
    match scope {
        Scope::Runs => "r",
        Scope::Experiments => "e",
        Scope::RegisteredModels => "g",
        Scope::ModelVersions => "v",
        Scope::LoggedModels => "l",
    }
}

/// The row key of what is searched, the same in all tables that belong to it.
fn owner(scope: Scope) -> &'static str {
    match scope {
        Scope::Runs => "run",
        Scope::Experiments => "experiment_id",
        Scope::RegisteredModels => "registered_model",
        Scope::ModelVersions => "model_version",
        Scope::LoggedModels => "logged_model",
    }
}

fn metrics_table(scope: Scope) -> &'static str {
    if scope == Scope::LoggedModels { "logged_model_metrics" } else { "latest_metrics" }
}

fn text_of(scope: Scope, table: &str) -> String {
    let (owner, alias) = (owner(scope), alias(scope));
    format!("(SELECT t.value FROM {table} t WHERE t.{owner} = {alias}.{owner} AND t.key = ")
}

fn column(scope: Scope, attribute: Attribute) -> &'static str {
    match (scope, attribute) {
        (Scope::Runs, Attribute::RunId) => "r.run_id",
        (Scope::ModelVersions, Attribute::RunId) => "v.run_id",
        (Scope::LoggedModels, Attribute::Status) => "l.status",
        // Text to its users, and compared as text.
        (Scope::LoggedModels, Attribute::ExperimentId) => "CAST(l.experiment_id AS TEXT)",
        (_, Attribute::ExperimentId) => "CAST(e.experiment_id AS TEXT)",
        (Scope::Experiments, Attribute::Name) => "e.name",
        (Scope::LoggedModels, Attribute::Name) => "l.name",
        (_, Attribute::Name) => "g.name",
        (Scope::Experiments, Attribute::CreationTime) => "e.creation_time",
        (Scope::RegisteredModels, Attribute::CreationTime) => "g.creation_time",
        (Scope::LoggedModels, Attribute::CreationTime) => "l.creation_time",
        (_, Attribute::CreationTime) => "v.creation_time",
        (Scope::Experiments, Attribute::LastUpdateTime) => "e.last_update_time",
        (Scope::RegisteredModels, Attribute::LastUpdateTime) => "g.last_update_time",
        (Scope::LoggedModels, Attribute::LastUpdateTime) => "l.last_update_time",
        (_, Attribute::LastUpdateTime) => "v.last_update_time",
        (_, Attribute::RunName) => "r.run_name",
        (_, Attribute::Status) => "r.status",
        (_, Attribute::UserId) => "r.user_id",
        (_, Attribute::StartTime) => "r.start_time",
        (_, Attribute::EndTime) => "r.end_time",
        (_, Attribute::VersionNumber) => "v.version",
        (_, Attribute::SourcePath) => "v.source",
        (_, Attribute::ModelId) => "l.model_id",
        (_, Attribute::ModelType) => "l.model_type",
        (_, Attribute::SourceRunId) => "l.source_run_id",
        // Each scope's table of names holds only what its rows have.
        (_, Attribute::ArtifactUri | Attribute::RunId) => "NULL",
    }
}
