//! What the filter language means, and where its errors point.

use proptest::prelude::*;

use super::*;
use crate::filter::{Attribute, DatasetField};

fn parse(text: &str) -> Vec<Clause> {
    parse_filter(Scope::Runs, text).unwrap()
}

fn only(text: &str) -> Clause {
    let [clause] = parse(text).try_into().unwrap();
    clause
}

fn text(comparison: Comparison, value: &str) -> Test {
    Test::Text { comparison, value: value.to_owned() }
}

#[test]
fn clauses_of_each_kind_are_read() {
    let clauses = parse(
        "metrics.accuracy > 0.9 and params.lr = '0.1' AND tags.\"x y\" LIKE '%a%' and attributes.status = 'FINISHED' \
         and tag.note IS NOT NULL And run_id NOT IN ('a', 'b')",
    );
    let number = Test::Number { comparison: Comparison::Greater, value: 0.9 };
    assert_eq!(clauses[0], Clause { field: Field::Metric("accuracy".into()), test: number });
    assert_eq!(clauses[1], Clause { field: Field::Param("lr".into()), test: text(Comparison::Equal, "0.1") });
    let like = Test::Like { pattern: "%a%".into(), ignore_case: false };
    assert_eq!(clauses[2], Clause { field: Field::Tag("x y".into()), test: like });
    let status = Field::Attribute(Attribute::Status);
    assert_eq!(clauses[3], Clause { field: status, test: text(Comparison::Equal, "FINISHED") });
    assert_eq!(clauses[4], Clause { field: Field::Tag("note".into()), test: Test::Null { negated: true } });
    let list = Test::In { negated: true, values: vec!["a".into(), "b".into()] };
    assert_eq!(clauses[5], Clause { field: Field::Attribute(Attribute::RunId), test: list });
}

#[test]
fn forms_that_mlflow_accepts_are_accepted() {
    assert!(parse("").is_empty());
    assert!(parse("  ").is_empty());
    assert_eq!(parse("metrics.a > 1 AND").len(), 1);
    assert_eq!(only("metrics.`acc` = 0.2").field, Field::Metric("acc".into()));
    assert_eq!(only("metrics.'a b' = 0.2").field, Field::Metric("a b".into()));
    assert_eq!(only("datasets.context = 'train'").field, Field::Dataset(DatasetField::Context));
    assert_eq!(only("tags.mlflow.parentRunId = 'x'").field, Field::Tag("mlflow.parentRunId".into()));
    assert_eq!(
        only("metrics.train/loss<-1e-3").test,
        Test::Number { comparison: Comparison::Less, value: -1e-3 }
    );
    assert_eq!(only("run.status != \"FAILED\"").test, text(Comparison::NotEqual, "FAILED"));
    assert_eq!(only("attributes.\"run name\" = 'x'").field, Field::Attribute(Attribute::RunName));
    assert_eq!(only("params.a = 'it''s'").test, text(Comparison::Equal, "it's"));
    assert_eq!(only("run_id IN ('a',)").test, Test::In { negated: false, values: vec!["a".into()] });
}

#[test]
fn errors_point_at_the_place_and_say_what_was_expected() {
    let check = |filter: &str, position: usize, part: &str| {
        let error = parse_filter(Scope::Runs, filter).unwrap_err();
        assert_eq!(error.position, position, "{error}");
        assert!(error.problem.contains(part), "{error}");
    };
    check("metrics.acc >", 14, "expected a number, found the end");
    check("params.opt > 'a'", 12, "texts are compared by");
    check("foo.bar = 'x'", 1, "unknown prefix `foo`; known: metrics, params, tags, attributes");
    check("metrcs.a > 1", 1, "did you mean `metrics`?");
    check("metrics.acc = 'abc'", 15, "expected a number, found 'abc'");
    check("attributes.statu = 'x'", 1, "did you mean `status`?");
    check("params.opt = Adam", 14, "expected a text in quotes");
    check("metrics.acc > 0.1 OR metrics.acc < 0.5", 19, "OR is not part");
    check("metrics.ü > 1 params.a = 'x'", 15, "expected AND");
    check("params.a = 'open", 12, "not closed");
    check("params. = 'x'", 1, "a key has to follow");
    check("status IS NULL", 1, "only params and tags");
    check("metrics.a LIKE 'x'", 11, "expected one of = != >");
    check("metrics.a > nan", 13, "expected a number");
    check("(metrics.a > 1)", 1, "expected a field");
    check("params.a = 'x'; drop", 15, "not understood");
    check("run_id IN ()", 12, "expected a text in quotes");
}

#[test]
fn an_order_is_ascending_unless_it_says_otherwise() {
    let parse = |text: &str| parse_order_by(Scope::Runs, &[text.to_owned()]);
    let metric = Field::Metric("a".into());
    assert_eq!(parse("metrics.a").unwrap(), [OrderKey { field: metric.clone(), descending: false }]);
    assert_eq!(parse("metrics.a asc").unwrap(), [OrderKey { field: metric.clone(), descending: false }]);
    assert_eq!(parse("metrics.`a` DESC").unwrap(), [OrderKey { field: metric, descending: true }]);
    assert_eq!(parse("metrics.a SIDEWAYS").unwrap_err().position, 11);
    assert!(parse("nonsense.x").is_err());
    assert!(parse("").is_err());
}

#[test]
fn experiments_have_their_own_fields() {
    let parse = |text: &str| parse_filter(Scope::Experiments, text);
    assert_eq!(parse("name LIKE 'a%' AND tags.i != '1' AND creation_time > 3").unwrap().len(), 3);
    assert!(parse("metrics.a > 1").unwrap_err().problem.contains("no metrics"));
    assert!(parse("status = 'RUNNING'").is_err());
}

#[test]
fn the_registry_has_its_own_fields() {
    let parse = |scope, text: &str| parse_filter(scope, text);
    assert_eq!(parse(Scope::RegisteredModels, "name ILIKE 'a%' AND tags.i != '1'").unwrap().len(), 2);
    let versions =
        "name = 'a' and version_number >= 2 and run_id IN ('r') and source_path LIKE 's3:%' and tags.a = 'b'";
    assert_eq!(parse(Scope::ModelVersions, versions).unwrap().len(), 5);
    let models = "metrics.acc > 0.5 and params.lr = '1' and status = 'READY' and creation_timestamp > 5 and tags.`a b` = 'c'";
    assert_eq!(parse(Scope::LoggedModels, models).unwrap().len(), 5);
    assert!(
        parse(Scope::RegisteredModels, "metrics.a > 1")
            .unwrap_err()
            .problem
            .contains("known: tags, attributes")
    );
    assert!(parse(Scope::ModelVersions, "version_number = 'x'").is_err());
    assert!(
        parse(Scope::ModelVersions, "run_name = 'x'")
            .unwrap_err()
            .problem
            .contains("unknown attribute `run_name`")
    );
}

#[test]
fn too_many_clauses_are_refused() {
    let long = vec!["metrics.a > 1"; MOST_CLAUSES + 1].join(" and ");
    assert!(parse_filter(Scope::Runs, &long).unwrap_err().problem.contains("at most 200"));
}

fn quote(text: &str, quote: char) -> String {
    format!("{quote}{}{quote}", text.replace(quote, &format!("{quote}{quote}")))
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(filter in "\\PC{0,60}") {
        let _ = parse_filter(Scope::Runs, &filter);
    }

    #[test]
    fn no_mix_of_tokens_makes_the_parser_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec!["metrics.a", "tags.", "\"k\"", "'v'", "=", "!=", "IN", "NOT", "(", ")", ",", "1", "AND", "IS", "NULL", "ü"]),
            0..12,
        ),
        separator in prop::sample::select(vec![" ", ""]),
    ) {
        let filter = tokens.join(separator);
        if let Err(error) = parse_filter(Scope::Runs, &filter) {
            prop_assert!(error.position >= 1 && error.position <= filter.chars().count() + 1);
        }
    }

    #[test]
    fn any_key_and_any_value_can_be_written(key in "\\PC{1,20}", value in "\\PC{0,20}") {
        let filter = format!("params.{} = {}", quote(&key, '"'), quote(&value, '\''));
        prop_assert_eq!(only(&filter), Clause { field: Field::Param(key), test: text(Comparison::Equal, &value) });
    }

    #[test]
    fn any_number_can_be_written(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
        let test = only(&format!("metrics.a >= {value:e}")).test;
        prop_assert_eq!(test, Test::Number { comparison: Comparison::GreaterOrEqual, value });
    }
}
