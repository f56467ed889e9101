//! Where a new model version's files may lie. A source is read later by whoever asks for the version, so it must not lead
//! to files that its maker has no business with: MLflow's CVE-2023-1177 and its successors.

use fulmen_tracking::{LoggedModel, ModelVersion, NewModelVersion, TrackingError};

use super::Call;
use crate::{
    frame::ApiError,
    wire::{decode, read_tag},
};

/// Marks a version as a prompt, which keeps its text in a tag and has no files.
const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

/// The version that a request wants, its source checked and resolved.
pub(super) fn new_version(call: &Call<'_>) -> Result<NewModelVersion, ApiError> {
    let mut new = NewModelVersion {
        name: call.fields.required("name")?.to_owned(),
        source: call.fields.required("source")?.to_owned(),
        storage_location: None,
        run_id: call.fields.some_text("run_id")?,
        run_link: call.fields.some_text("run_link")?,
        model_id: call.fields.some_text("model_id")?,
        description: call.fields.some_text("description")?,
        tags: call.fields.objects("tags", read_tag)?,
    };
    let plain = fully_decoded(&new.source)?;
    if let Some(reference) = plain.strip_prefix("models:/") {
        resolve_model(call, &mut new, reference)?;
    } else if let Some(path) = plain.strip_prefix("runs:/") {
        let run_id = path.split('/').next().filter(|id| !id.is_empty());
        if run_id != new.run_id.as_deref() {
            return Err(outside(&new.source, "a source `runs:/<run>/…` needs the same run in run_id"));
        }
    } else if is_prompt(&new) {
        // A word that leads nowhere.
        if plain.contains(['/', ':']) {
            return Err(outside(&new.source, "a prompt has no files"));
        }
    } else if is_local(&plain) || is_proxied(&plain) {
        let roots = roots(call, &new)?;
        if !roots.iter().any(|root| is_below(&plain, root)) {
            return Err(outside(
                &new.source,
                "a local path or an artifact of this server has to lie below the artifacts of the run in run_id, or of the model in model_id",
            ));
        }
    }
    if let (None, Some(model_id)) = (&new.run_id, &new.model_id) {
        new.run_id = model(call, &new.source, model_id)?.source_run_id;
    }
    Ok(new)
}

/// `models:/m-…`, `models:/name/version` or `models:/name@alias`.
fn resolve_model(call: &Call<'_>, new: &mut NewModelVersion, reference: &str) -> Result<(), ApiError> {
    if reference.starts_with("m-") && !reference.contains(['/', '@']) {
        if new.model_id.as_deref().is_some_and(|model_id| model_id != reference) {
            return Err(outside(&new.source, "model_id names another model"));
        }
        let found = model(call, &new.source, reference)?;
        new.storage_location = Some(found.artifact_uri);
        new.model_id = Some(found.model_id);
        new.run_id = new.run_id.take().or(found.source_run_id);
        return Ok(());
    }
    let unknown = || {
        outside(&new.source, "write models:/<name>/<version>, models:/<name>@<alias> or models:/<model id>")
    };
    let found: ModelVersion = if let Some((name, alias)) = reference.split_once('@') {
        call.store.model_version_by_alias(name, alias)?
    } else {
        let (name, version) = reference.rsplit_once('/').ok_or_else(unknown)?;
        call.store.model_version(name, version.parse().map_err(|_| unknown())?)?
    };
    let differs = |asked: &Option<String>, found: &Option<String>| asked.is_some() && asked != found;
    if differs(&new.run_id, &found.run_id) || differs(&new.model_id, &found.model_id) {
        return Err(outside(
            &new.source,
            "run_id and model_id have to be those of the version that it names",
        ));
    }
    new.source = format!("models:/{}/{}", found.name, found.version);
    new.storage_location = Some(found.storage_location.unwrap_or(found.source));
    (new.run_id, new.model_id) = (found.run_id, found.model_id);
    Ok(())
}

/// Artifact roots of the run and of the model that the request names.
fn roots(call: &Call<'_>, new: &NewModelVersion) -> Result<Vec<String>, ApiError> {
    let mut roots = Vec::new();
    if let Some(model_id) = &new.model_id {
        roots.push(model(call, &new.source, model_id)?.artifact_uri);
    }
    if let Some(run_id) = &new.run_id {
        match call.store.run(run_id) {
            Ok(run) => roots.push(run.info.artifact_uri),
            Err(TrackingError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(roots)
}

fn model(call: &Call<'_>, source: &str, model_id: &str) -> Result<LoggedModel, ApiError> {
    call.store.logged_model(model_id).map_err(|error| match error {
        TrackingError::NotFound { .. } => outside(source, &format!("there is no logged model {model_id:?}")),
        error => error.into(),
    })
}

/// The source with all layers of percent-encoding taken off, and nothing in it that could climb or hide a part.
fn fully_decoded(source: &str) -> Result<String, ApiError> {
    let mut plain = source.to_owned();
    // Each layer makes the text shorter, so this ends.
    loop {
        let next = decode(&plain)?;
        if next == plain {
            break;
        }
        plain = next;
    }
    let climbs = plain.split(['/', ':', ';']).any(|part| matches!(part, "." | ".."));
    if climbs || plain.contains(['\\', '#', '?', ';']) || plain.chars().any(char::is_control) {
        return Err(outside(source, "it has a `.` or `..` part, or one of # ? ; \\, or a control character"));
    }
    Ok(plain)
}

fn is_prompt(new: &NewModelVersion) -> bool {
    new.tags.iter().any(|tag| tag.key == PROMPT_TAG && tag.value.eq_ignore_ascii_case("true"))
}

/// Whether a source is a path of the machine that reads it.
fn is_local(source: &str) -> bool {
    match source.split_once(':') {
        Some((scheme, _)) => scheme.len() < 2 || scheme.eq_ignore_ascii_case("file") || scheme.contains('/'),
        None => true,
    }
}

/// Whether a source is an artifact that this server, or another like it, hands out.
fn is_proxied(source: &str) -> bool {
    let scheme = source.split(':').next().unwrap_or_default().to_ascii_lowercase();
    scheme == "mlflow-artifacts"
        || (scheme.starts_with("http") && source.contains("/mlflow-artifacts/artifacts"))
}

fn is_below(source: &str, root: &str) -> bool {
    let plain = |uri: &str| uri.strip_prefix("file://").unwrap_or(uri).trim_end_matches('/').to_owned();
    let (source, root) = (plain(source), plain(root));
    source
        .strip_prefix(&root)
        .is_some_and(|rest| !root.is_empty() && (rest.is_empty() || rest.starts_with('/')))
}

fn outside(source: &str, reason: &str) -> ApiError {
    ApiError::invalid(format!("Invalid model version source: '{source}': {reason}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_climb_or_hide_are_refused() {
        for source in [
            "s3://b/../x",
            "mlflow-artifacts:/..%2f..%2fetc",
            "mlflow-artifacts:/%252e%252e/etc",
            "http:///#/../..",
            "a;/../b",
            "file:///a/./b",
            "x%00y",
            "a\\b",
            "http://h/?x=/..",
        ] {
            assert!(fully_decoded(source).is_err(), "{source}");
        }
        for source in ["s3://bucket/model", "mlflow-artifacts:/0/run/artifacts/m", "runs:/r/m", "models:/m-1"]
        {
            assert_eq!(fully_decoded(source).unwrap(), source);
        }
    }

    #[test]
    fn local_and_proxied_sources_are_told_from_others() {
        for source in
            ["/etc", "etc", "file:///etc", "FILE:/etc", "C:/x", "//proc/self/root", "./a:b", "a/b:c"]
        {
            assert!(is_local(source), "{source}");
        }
        for source in ["s3://b/x", "gs://b", "dbfs:/x", "mlflow-artifacts:/x"] {
            assert!(!is_local(source), "{source}");
        }
        assert!(
            is_proxied("MLFLOW-ARTIFACTS://h/x")
                && is_proxied("http://h/api/2.0/mlflow-artifacts/artifacts/x")
        );
    }

    #[test]
    fn below_means_below() {
        assert!(is_below("file:///r/artifacts/m", "/r/artifacts") && is_below("/r/a", "/r/a/"));
        for (source, root) in [("/r/artifacts2", "/r/artifacts"), ("/r", "/r/a"), ("/x", ""), ("/etc", "/")] {
            assert!(!is_below(source, root), "{source} {root}");
        }
    }
}
