//! Filters and orders as MongoDB queries. What a user wrote is only ever a value in them: operands of `$eq` and its kin,
//! `$literal`, or an escaped pattern.

use mongodb::bson::{Bson, Document, doc};

use crate::{
    TrackingError, ViewType,
    filter::{Attribute, Clause, Comparison, DatasetField, Field, MetricOnDataset, Scope, Test},
    limits::invalid,
};

/// MongoDB's longest pattern is 32,764 bytes.
const LONGEST_PATTERN: usize = 32_000;

/// A condition for each clause.
pub(super) fn conditions<'a>(
    scope: Scope,
    clauses: impl IntoIterator<Item = &'a Clause>,
) -> Result<Vec<Document>, TrackingError> {
    clauses.into_iter().map(|clause| condition(scope, clause)).collect()
}

fn condition(scope: Scope, Clause { field, test }: &Clause) -> Result<Document, TrackingError> {
    let found = match field {
        // No filter names it.
        Field::MetricOnDataset(_) => doc! { "_id": { "$exists": false } },
        // NaN is an absent value, so it differs from every number, and is neither less nor greater.
        Field::Metric(key) => {
            doc! { "metrics": { "$elemMatch": { "k": { "$eq": key }, "v": operand(test)? } } }
        }
        Field::Param(key) => pair("params", key, test)?,
        Field::Tag(key) => pair("tags", key, test)?,
        Field::Dataset(DatasetField::Context) => {
            doc! { "datasets": { "$elemMatch": pair("tags", crate::lineage::CONTEXT_TAG, test)? } }
        }
        Field::Dataset(DatasetField::Name) => {
            doc! { "datasets": { "$elemMatch": { "name": operand(test)? } } }
        }
        Field::Dataset(DatasetField::Digest) => {
            doc! { "datasets": { "$elemMatch": { "digest": operand(test)? } } }
        }
        Field::Attribute(attribute) => {
            let name = column(scope, *attribute);
            // An absent value passes no test, not even that it differs.
            doc! { "$and": [{ name: { "$exists": true } }, { name: operand(test)? }] }
        }
    };
    Ok(found)
}

fn pair(list: &str, key: &str, test: &Test) -> Result<Document, TrackingError> {
    let has_key = doc! { list: { "$elemMatch": { "k": { "$eq": key } } } };
    Ok(match test {
        Test::Null { negated: true } => has_key,
        Test::Null { negated: false } => doc! { "$nor": [has_key] },
        _ => doc! { list: { "$elemMatch": { "k": { "$eq": key }, "v": operand(test)? } } },
    })
}

/// What is asked of a value.
fn operand(test: &Test) -> Result<Document, TrackingError> {
    Ok(match test {
        Test::Number { comparison, value } => doc! { sign(*comparison): *value },
        Test::Text { comparison, value } => doc! { sign(*comparison): value },
        Test::Like { pattern, ignore_case } => doc! { "$regex": regex(pattern, *ignore_case)? },
        Test::In { negated: false, values } => doc! { "$in": values },
        Test::In { negated: true, values } => doc! { "$nin": values },
        Test::Null { negated } => doc! { "$exists": *negated },
    })
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "$eq",
        Comparison::NotEqual => "$ne",
        Comparison::Greater => "$gt",
        Comparison::GreaterOrEqual => "$gte",
        Comparison::Less => "$lt",
        Comparison::LessOrEqual => "$lte",
    }
}

/// A LIKE pattern as a regular expression. `%` is any text, `_` any character; as in SQLite, ILIKE ignores the case of
/// ASCII letters.
fn regex(like: &str, ignore_case: bool) -> Result<String, TrackingError> {
    let mut regex = String::from("^");
    for character in like.chars() {
        match character {
            '%' => regex.push_str("[\\s\\S]*"),
            '_' => regex.push_str("[\\s\\S]"),
            '\0' => regex.push_str("\\x00"),
            letter if ignore_case && letter.is_ascii_alphabetic() => {
                regex.extend(['[', letter.to_ascii_lowercase(), letter.to_ascii_uppercase(), ']']);
            }
            letter if letter.is_alphanumeric() || !letter.is_ascii() => regex.push(letter),
            other => regex.extend(['\\', other]),
        }
    }
    // `$` would also hold before a last line break.
    regex.push_str("(?![\\s\\S])");
    if regex.len() > LONGEST_PATTERN {
        return Err(invalid("LIKE pattern", like, "it is too long for MongoDB"));
    }
    Ok(regex)
}

/// The value of a field as an expression; absent where the field is, or is NaN.
pub(super) fn expression(scope: Scope, field: &Field) -> Bson {
    let list = match (scope, field) {
        (Scope::LoggedModels, Field::Metric(_)) => "$latest",
        (_, Field::Metric(_)) => "$metrics",
        (_, Field::Param(_)) => "$params",
        (_, Field::Tag(_)) => "$tags",
        (_, Field::Attribute(attribute)) => return Bson::String(format!("${}", column(scope, *attribute))),
        // Nothing is ordered by it.
        (_, Field::Dataset(_)) => return Bson::Null,
        (_, Field::MetricOnDataset(metric)) => return on_dataset(metric),
    };
    let (Field::Metric(key) | Field::Param(key) | Field::Tag(key)) = field else { return Bson::Null };
    let own = doc! { "$filter": { "input": list, "as": "entry", "cond": { "$eq": ["$$entry.k", { "$literal": key }] } } };
    doc! { "$let": { "vars": { "own": { "$arrayElemAt": [own, 0] } }, "in": "$$own.v" } }.into()
}

/// The value of the latest point of a logged model's metric on some datasets. Documents are compared field by field, so
/// the greatest is the one with the greatest step, then time, then value; one without a value is NaN and less.
fn on_dataset(MetricOnDataset { key, name, digest }: &MetricOnDataset) -> Bson {
    let asked = [("k", Some(key)), ("dataset_name", name.as_ref()), ("dataset_digest", digest.as_ref())];
    let holds = asked.into_iter().filter_map(|(field, value)| {
        Some(Bson::from(doc! { "$eq": [format!("$$entry.{field}"), doc! { "$literal": value? }] }))
    });
    let own = doc! { "$filter": { "input": "$metrics", "as": "entry", "cond": { "$and": holds.collect::<Vec<_>>() } } };
    let points = doc! { "$map": { "input": own, "as": "entry", "in": { "s": "$$entry.s", "t": "$$entry.t", "v": "$$entry.v" } } };
    doc! { "$let": { "vars": { "latest": { "$max": points } }, "in": "$$latest.v" } }.into()
}

pub(super) fn view(view: ViewType) -> Option<Document> {
    match view {
        ViewType::ActiveOnly => Some(doc! { "deleted_time": { "$exists": false } }),
        ViewType::DeletedOnly => Some(doc! { "deleted_time": { "$exists": true } }),
        ViewType::All => None,
    }
}

fn column(scope: Scope, attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::RunId if scope == Scope::Runs => "_id",
        Attribute::RunId => "run_id",
        Attribute::RunName => "run_name",
        Attribute::Status => "status",
        Attribute::UserId => "user_id",
        Attribute::ArtifactUri => "artifact_uri",
        Attribute::StartTime => "start_time",
        Attribute::EndTime => "end_time",
        // Text, beside the number in `_id` or `experiment_id`.
        Attribute::ExperimentId if scope == Scope::LoggedModels => "experiment",
        Attribute::ExperimentId => "experiment_id",
        Attribute::Name => "name",
        Attribute::CreationTime => "creation_time",
        Attribute::LastUpdateTime => "last_update_time",
        Attribute::VersionNumber => "version",
        Attribute::SourcePath => "source",
        Attribute::ModelId if scope == Scope::LoggedModels => "_id",
        Attribute::ModelId => "model_id",
        Attribute::ModelType => "model_type",
        Attribute::SourceRunId => "source_run_id",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::parse_filter;

    #[test]
    fn what_a_user_wrote_is_never_an_operator_or_a_field() {
        let filter =
            "tags.\"$where\" = '{\"$ne\": null}' AND params.\"a.b\" IN ('$x') AND run_name != '$$ROOT'";
        let clauses = parse_filter(Scope::Runs, filter).unwrap();
        let expected = vec![
            doc! { "tags": { "$elemMatch": { "k": { "$eq": "$where" }, "v": { "$eq": "{\"$ne\": null}" } } } },
            doc! { "params": { "$elemMatch": { "k": { "$eq": "a.b" }, "v": { "$in": ["$x"] } } } },
            doc! { "$and": [{ "run_name": { "$exists": true } }, { "run_name": { "$ne": "$$ROOT" } }] },
        ];
        assert_eq!(conditions(Scope::Runs, &clauses).unwrap(), expected);
        let order = expression(Scope::Runs, &Field::Tag("$$ROOT.x".into()));
        assert!(
            order.to_string().contains("{ \"$literal\": \"$$ROOT.x\" }")
                || order.to_string().contains("\"$literal\":\"$$ROOT.x\""),
            "{order}"
        );
    }

    #[test]
    fn signs_in_patterns_mean_themselves() {
        assert_eq!(regex("a.*_%b", false).unwrap(), "^a\\.\\*[\\s\\S][\\s\\S]*b(?![\\s\\S])");
        assert_eq!(regex("aß[", true).unwrap(), "^[aA]ß\\[(?![\\s\\S])");
        assert!(regex(&"x".repeat(40_000), false).is_err());
    }
}
