//! Runs cases of a conformance corpus: one JSON object per line in, one outcome per line out.
//!
//! The forms of cases and outcomes are those of the corpus of Hydra 1.3 and OmegaConf 2.3 behaviour; an outcome has
//! the form of a case's `expect`. Paths are relative to the working directory, trees lie in `trees/`.

mod cases;
mod command;
mod encode;
mod overrides;

use std::io::{self, BufRead, Write};

use serde_json::{Map, Value as Json, json};

use crate::error::ConfigError;

/// Reads cases and writes an outcome for each.
///
/// # Errors
/// Input that cannot be read or output that cannot be written. What is wrong with a case goes into its outcome.
pub fn run(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Json>(&line) {
            Ok(case) => json!({ "id": case["id"], "outcome": outcome(&case) }),
            Err(error) => {
                json!({ "id": null, "outcome": { "error": { "kind": "case", "message": error.to_string() } } })
            }
        };
        writeln!(output, "{answer}")?;
    }
    output.flush()
}

fn outcome(case: &Json) -> Json {
    match case["kind"].as_str() {
        Some("compose") => cases::compose(case),
        Some("multirun") => cases::multirun(case),
        Some("override_parse") => overrides::parse(case),
        Some("interp") => cases::interpolation(case),
        Some("merge") => cases::merge(case),
        Some("cli") => command::run(case),
        other => json!({ "error": { "kind": "case", "message": format!("unknown kind {other:?}") } }),
    }
}

fn error_json(error: &ConfigError, stage: &str) -> Json {
    json!({ "kind": error.kind(), "stage": stage, "message": error.to_text() })
}

fn failure(error: &ConfigError, stage: &str) -> Json {
    json!({ "error": error_json(error, stage) })
}

/// The texts of a list in a case.
fn texts(list: &Json) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn object(pairs: impl IntoIterator<Item = (&'static str, Json)>) -> Map<String, Json> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
