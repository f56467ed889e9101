//! Arguments of the form `key=value` that are about the call rather than the run: `run=`, `input=`, `resume=`.

use crate::error::CliError;

/// Takes `name=value` out of the overrides; the last one counts, as with overrides.
pub(crate) fn take(overrides: &mut Vec<String>, name: &str) -> Option<String> {
    let mut found = None;
    overrides.retain(|text| match text.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
        Some(value) => {
            found = Some(value.to_owned());
            false
        }
        None => true,
    });
    found
}

/// As [`take`], for an argument that the command cannot do without.
///
/// # Errors
/// When it is not there.
pub(crate) fn require(overrides: &mut Vec<String>, name: &str, example: &str) -> Result<String, CliError> {
    take(overrides, name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| CliError::usage(format!("'{name}=' is missing: {example}")))
}

#[cfg(test)]
mod tests {
    use super::take;

    #[test]
    fn an_argument_of_the_call_is_taken_out_and_the_rest_stays() {
        let mut overrides = ["run=a", "model.run=1", "run=b", "runs=2"].map(str::to_owned).to_vec();
        assert_eq!(take(&mut overrides, "run").as_deref(), Some("b"));
        assert_eq!(overrides, ["model.run=1", "runs=2"]);
    }
}
