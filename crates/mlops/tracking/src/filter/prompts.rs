//! MLflow keeps prompts as registered models with a tag; a search shows them only if it asks for them.

use super::{Clause, Comparison, Field, Test};

/// The tag, whose value is `true`.
pub(crate) const IS_PROMPT: &str = "mlflow.prompt.is_prompt";

/// Whether the clauses ask for prompts, and those clauses that are about something else.
pub(crate) fn settle_prompts(clauses: &[Clause]) -> (bool, Vec<Clause>) {
    let is_about_prompts = |clause: &Clause| matches!(&clause.field, Field::Tag(key) if key == IS_PROMPT);
    let (about, others): (Vec<Clause>, Vec<Clause>) = clauses.iter().cloned().partition(is_about_prompts);
    let wanted = about.iter().any(|clause| match &clause.test {
        Test::Text { comparison: Comparison::Equal, value } => value.eq_ignore_ascii_case("true"),
        Test::Text { comparison: Comparison::NotEqual, value } => value.eq_ignore_ascii_case("false"),
        _ => false,
    });
    (wanted, others)
}
