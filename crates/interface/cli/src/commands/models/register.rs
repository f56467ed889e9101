//! `fulmen models register`: from a run's artifact to a version.

use std::path::Path;

use fulmen_manager::{RunFolder, find_run};
use fulmen_tracking::{ErrorKind, NewModelVersion, NewRegisteredModel, Run};

use super::{done, opened};
use crate::arguments::PlaceArguments;
use crate::commands::experiments::tags;
use crate::error::CliError;

/// What is registered of a run unless a path is given.
const BEST: &str = "checkpoints/best";

/// Registers `RUN[:PATH]` as the next version of `name`.
pub(super) fn run(
    run: &str,
    name: &str,
    description: Option<String>,
    tag: &[String],
    place: &PlaceArguments,
) -> Result<(), CliError> {
    let tags = tags(tag)?;
    let (wanted, path) = match run.split_once(':') {
        Some((wanted, path)) => (wanted, Some(path.trim_matches('/'))),
        None => (run, None),
    };
    let store = opened(place)?;
    let run = find_run(store.as_ref(), wanted)?;
    let path = artifact(&run, path)?;
    match store.create_registered_model(&NewRegisteredModel { name: name.to_owned(), ..Default::default() }) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let run_id = run.info.run_id;
    let version = store.create_model_version(&NewModelVersion {
        name: name.to_owned(),
        source: format!("runs:/{run_id}/{path}"),
        storage_location: Some(format!("{}/{path}", run.info.artifact_uri.trim_end_matches('/'))),
        run_id: Some(run_id),
        description,
        tags,
        ..NewModelVersion::default()
    })?;
    done("registered", &version, place.store.json);
    Ok(())
}

/// The path among the run's artifacts. Where these are on this machine it has to be there, and a link such as `best` is
/// followed: what it means tomorrow is another version.
fn artifact(run: &Run, path: Option<&str>) -> Result<String, CliError> {
    let path = path.unwrap_or(BEST);
    if path.is_empty()
        || Path::new(path).components().any(|part| !matches!(part, std::path::Component::Normal(_)))
    {
        return Err(CliError::usage(format!("'{path}' is no path among a run's artifacts")));
    }
    let Some(artifacts) =
        RunFolder::of(run).ok().map(|folder| folder.artifacts()).filter(|path| path.is_dir())
    else {
        return Ok(path.to_owned());
    };
    let inside = artifacts.canonicalize().ok().and_then(|root| {
        let target = artifacts.join(path).canonicalize().ok()?;
        Some(target.strip_prefix(&root).ok()?.to_string_lossy().into_owned())
    });
    inside.filter(|path| !path.is_empty()).ok_or_else(|| {
        CliError::usage(format!(
            "run {} has no artifact '{path}' in {}: name another by {}:PATH",
            run.info.run_name,
            artifacts.display(),
            run.info.run_id
        ))
    })
}
