//! A store's refusals in MLflow's words, on which code and tests of its clients match; the way out follows where MLflow
//! names none.

use fulmen_tracking::TrackingError;
use serde_json::Value;

/// What a client is told about a store's error.
pub(super) fn of(error: &TrackingError) -> String {
    match error {
        TrackingError::Invalid { what, value, reason } => invalid(what, value, reason),
        TrackingError::TooLong { what, limit, .. } => {
            format!("'{what}' exceeds the maximum length of {limit} characters")
        }
        TrackingError::TooMany { what, count, limit } => format!(
            "A batch logging request can contain at most {limit} {what}. Got {count} {what}. Please split up {what} across \
             multiple requests and try again."
        ),
        TrackingError::NotFound { what, id, .. } => missing(what, id),
        TrackingError::ExperimentExists { name, deleted } => {
            let deleted = if *deleted { " It is deleted: restore it, or choose another name." } else { "" };
            format!("Experiment(name={name}) already exists.{deleted}")
        }
        TrackingError::Exists { name, .. } => format!("Registered Model (name={name}) already exists."),
        TrackingError::ParamConflict { run_id, key, stored, given } => format!(
            "Changing param values is not allowed. Param with key='{key}' was already logged with value='{stored}' for run \
             ID='{run_id}'. Attempted logging new value '{given}'. Use a tag, or start a new run."
        ),
        TrackingError::Deleted { what, id } => {
            format!("The {what} {id} must be in the 'active' state. Current state is deleted.")
        }
        TrackingError::PageToken => {
            "Invalid page token: it does not belong to this search; ask again without a token.".to_owned()
        }
        error => error.to_string(),
    }
}

fn missing(what: &str, id: &str) -> String {
    match what {
        "run" => format!("Run with id={id} not found"),
        "experiment" => format!("No Experiment with id={id} exists"),
        "registered model" => format!("Registered Model with name={id} not found"),
        "model version" => {
            let (name, version) = id.rsplit_once('/').unwrap_or((id, ""));
            format!("Model Version (name={name}, version={version}) not found")
        }
        "logged model" => format!("Logged model with ID '{id}' not found."),
        "tag" => format!("No tag with name: {id}"),
        what => format!("No {what} {id} found"),
    }
}

/// A wrong value; `what` is what the store calls it, or the name of the request's field.
pub(super) fn invalid(what: &str, value: &str, reason: &str) -> String {
    let parameter = match what {
        "experiment name" => return format!("Invalid experiment name: '{value}': {reason}."),
        "model name" => return format!("Invalid model name '{value}': {reason}."),
        "stage" => return format!("Invalid Model Version stage: {value}: {reason}."),
        "metric key" => "name",
        "param key" | "tag key" => "key",
        "artifact location" => "artifact_location",
        what => what,
    };
    // A number is shown as one, as MLflow does.
    let shown = value.parse::<i64>().map_or_else(|_| Value::from(value), Value::from);
    format!("Invalid value {shown} for parameter '{parameter}' supplied: {reason}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named_as_mlflow_names_it() {
        let said =
            |what, id: &str| of(&TrackingError::NotFound { what, id: id.into(), store: "secret".into() });
        assert_eq!(said("run", "r"), "Run with id=r not found");
        assert_eq!(said("model version", "a/b/3"), "Model Version (name=a/b, version=3) not found");
        assert_eq!(said("dataset", "d"), "No dataset d found");
    }

    #[test]
    fn wrong_values_are_shown_as_json() {
        let said = |what, value: &str| {
            of(&TrackingError::Invalid { what, value: value.into(), reason: "because".into() })
        };
        assert_eq!(
            said("metric key", "a\"|"),
            "Invalid value \"a\\\"|\" for parameter 'name' supplied: because."
        );
        assert_eq!(
            said("max_results", "0"),
            "Invalid value 0 for parameter 'max_results' supplied: because."
        );
    }
}
