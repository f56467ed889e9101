//! Where a new model version's files may lie. A source is read later by whoever asks for the version, so it must not lead
//! to files that its maker has no business with: MLflow's CVE-2023-1177 and its successors.

use fulmen_tracking::{LoggedModel, ModelVersion, NewModelVersion, Stage, TrackingError};

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
    if let Some(direct) = without_dots(&new.source) {
        new.source = direct;
    }
    let plain = fully_decoded(&new.source)?;
    if let Some(reference) = plain.strip_prefix("models:/") {
        resolve_model(call, &mut new, reference)?;
    } else if let Some(path) = plain.strip_prefix("runs:/") {
        let run_id = path.split('/').next().filter(|id| !id.is_empty());
        if run_id.is_none() || run_id != new.run_id.as_deref() {
            return Err(outside(&new.source, "a source `runs:/<run>/…` needs the same run in run_id"));
        }
    } else if is_prompt(&new) {
        // A word that leads nowhere.
        if plain.contains(['/', ':']) || plain.trim().is_empty() {
            return Err(outside(&new.source, "a prompt has no files"));
        }
    } else if is_local(&plain) || is_proxied(&plain) {
        let roots = roots(call, &new)?;
        if !roots.iter().any(|root| is_below(&plain, root)) {
            return Err(outside(
                &new.source,
                "To use a local path as a model version source, or an artifact of this server, it has to lie below the \
                 artifacts of the run in run_id, or of the model in model_id",
            ));
        }
    }
    if let Some(model_id) = &new.model_id {
        let found = model(call, &new.source, model_id)?;
        new.run_id = new.run_id.or(found.source_run_id);
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
        outside(
            &new.source,
            "write models:/<name>/<version>, models:/<name>/latest, models:/<name>@<alias> or models:/<model id>",
        )
    };
    let found: ModelVersion = if let Some((name, alias)) = reference.split_once('@') {
        call.store.model_version_by_alias(name, alias)?
    } else {
        let (name, version) = reference.rsplit_once('/').ok_or_else(unknown)?;
        match (version.parse(), version.parse::<Stage>()) {
            (Ok(number), _) => call.store.model_version(name, number)?,
            (_, stage) if version.eq_ignore_ascii_case("latest") || stage.is_ok() => {
                let stages: Vec<Stage> = stage.into_iter().collect();
                let found = call.store.latest_versions(name, &stages)?;
                found.into_iter().max_by_key(|found| found.version).ok_or_else(unknown)?
            }
            _ => return Err(unknown()),
        }
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

/// A local source with plain `.` and `..` parts, as the path that it stands for.
fn without_dots(source: &str) -> Option<String> {
    let (scheme, path) = match source.strip_prefix("file://") {
        Some(path) => ("file://", path),
        None => ("", source),
    };
    let has_dots = path.split('/').any(|part| matches!(part, "." | ".."));
    if !path.starts_with('/') || !has_dots {
        return None;
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(format!("{scheme}/{}", parts.join("/")))
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
        return Err(outside(
            source,
            "If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, an \
             absolute path must be provided without relative path references present: no `.` or `..` part, none of \
             # ? ; \\, no control character",
        ));
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
    ApiError::invalid(format!("Invalid model version source: '{source}'. {reason}."))
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
    fn dots_of_local_paths_are_resolved_before_they_are_judged() {
        for (source, direct) in [
            ("/r/a/.", Some("/r/a")),
            ("file:///r/a/m/..", Some("file:///r/a")),
            ("/r/a/../../../../etc", Some("/etc")),
            ("/r/a", None),
            ("r/..", None),
            ("/r/%2e%2e/x", None),
            ("s3://b/../x", None),
        ] {
            assert_eq!(without_dots(source).as_deref(), direct, "{source}");
        }
    }

    #[test]
    fn below_means_below() {
        assert!(is_below("file:///r/artifacts/m", "/r/artifacts") && is_below("/r/a", "/r/a/"));
        for (source, root) in [("/r/artifacts2", "/r/artifacts"), ("/r", "/r/a"), ("/x", ""), ("/etc", "/")] {
            assert!(!is_below(source, root), "{source} {root}");
        }
    }
}
