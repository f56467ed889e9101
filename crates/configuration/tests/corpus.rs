//! Holds the composer against the recorded corpus of Hydra 1.3 behaviour, where it lies beside the repository.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests may panic")]

use std::fs;
use std::io::{Write, stderr};
use std::path::Path;

use serde_json::Value as Json;

const LEVEL_1: [&str; 4] = ["resolved", "jobs", "override", "select"];
const LEVEL_2: [&str; 10] = [
    "unresolved",
    "defaults_list",
    "choices",
    "missing_keys",
    "hydra",
    "hydra_raw",
    "batch_sizes",
    "job_resolved",
    "job_subdir",
    "job_override_dirname",
];
const LEVEL_3: [&str; 2] = ["yaml", "stdout"];

/// Equal as values; an integer is no float.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Number(a), Json::Number(b)) => a.is_f64() == b.is_f64() && a == b,
        (a, b) => a == b,
    }
}

fn sorted(jobs: &Json) -> Json {
    let mut jobs = jobs.as_array().cloned().unwrap_or_default();
    jobs.sort_by_key(Json::to_string);
    jobs.into()
}

/// The level that an outcome reaches, 0 to 3, as the corpus's own `score.py` counts.
fn level(case: &Json, got: &Json) -> usize {
    let want = &case["expect"];
    if want["error"]["kind"] == "crash" {
        return 3;
    }
    let failed = !want["error"].is_null();
    if failed == got["error"].is_null() {
        return 0;
    }
    if case["kind"] == "cli" && (want["exit_code"] == 0) != (got["exit_code"] == 0) {
        return 0;
    }
    let all_same = |keys: &[&str]| {
        keys.iter().filter(|key| !want[**key].is_null()).all(|key| {
            if *key == "jobs" && case["unordered"] == true {
                same(&sorted(&want[*key]), &sorted(&got[*key]))
            } else {
                same(&want[*key], &got[*key])
            }
        })
    };
    if (!failed && !all_same(&LEVEL_1)) || (failed && want["error"]["stage"] != got["error"]["stage"]) {
        return 0;
    }
    if (failed && want["error"]["kind"] != got["error"]["kind"]) || !all_same(&LEVEL_2) {
        return 1;
    }
    if all_same(&LEVEL_3) { 3 } else { 2 }
}

#[test]
fn the_recorded_corpus_is_met() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/hydra");
    let Ok(cases) = fs::read_to_string(corpus.join("cases.jsonl")) else {
        writeln!(stderr(), "skipped: no corpus at {}", corpus.display()).unwrap();
        return;
    };
    // The only test of this program, so the working directory is its own.
    std::env::set_current_dir(&corpus).unwrap();
    let mut answer = Vec::new();
    fulmen_configuration::batch::run(cases.as_bytes(), &mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let mut reached = [0; 4];
    for (case, outcome) in cases.lines().zip(answer.lines()) {
        let case: Json = serde_json::from_str(case).unwrap();
        let outcome: Json = serde_json::from_str(outcome).unwrap();
        assert_eq!(case["id"], outcome["id"]);
        let level = level(&case, &outcome["outcome"]);
        if level < 3 {
            writeln!(stderr(), "level {level}: {}", case["id"]).unwrap();
        }
        reached.iter_mut().take(level + 1).for_each(|count| *count += 1);
    }
    assert!(reached[0] > 1000, "the corpus has only {} cases", reached[0]);
    assert_eq!(reached, [reached[0]; 4], "cases, and those that reach the levels 1, 2 and 3");
}
