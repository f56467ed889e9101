//! `fulmen artifacts`: files of runs, wherever they are kept.

use std::fs;
use std::path::{Path, PathBuf};

use fulmen_configuration::Config;
use fulmen_contracts::ExitCode;
use fulmen_manager::{RunEncryption, encrypted_of, find_run};
use fulmen_runner::Encryption;
use fulmen_storage::{Artifact, ArtifactName, ArtifactStore, StorageError};
use fulmen_tracking::Run;
use fulmen_utils::text;
use serde_json::json;

use super::open_store;
use crate::arguments::{ArtifactsArguments, ArtifactsCommand, StoreArguments};
use crate::display::table::{self, Align};
use crate::embedded;
use crate::error::CliError;
use crate::terminal::{CYAN, DIM, GREEN, RED, YELLOW, say, say_json, styled, tell};

/// Lists, fetches, adds, verifies or deletes artifacts.
pub(crate) fn run(arguments: ArtifactsArguments) -> Result<ExitCode, CliError> {
    match arguments.command {
        ArtifactsCommand::List { run, words, recursive, store } => {
            let (opened, words) = open(&store, &run, words)?;
            let [folder] = words.as_slice() else {
                return match words.is_empty() {
                    true => list(&opened.artifacts, "", recursive, store.json),
                    false => Err(CliError::usage("name one folder: `fulmen artifacts list <run> <folder>`")),
                };
            };
            list(&opened.artifacts, folder.trim_end_matches('/'), recursive, store.json)
        }
        ArtifactsCommand::Get { run, words, output, store } => {
            let (opened, words) = open(&store, &run, words)?;
            get(&opened.artifacts, &words, &output, store.json)
        }
        ArtifactsCommand::Put { run, words, to, store } => {
            let (opened, words) = open(&store, &run, words)?;
            put(&opened, &words, to.as_deref(), store.json)
        }
        ArtifactsCommand::Verify { run, words, store } => {
            let (opened, words) = open(&store, &run, words)?;
            verify(&opened.artifacts, &words, store.json)
        }
        ArtifactsCommand::Delete { run, words, store } => {
            let (opened, words) = open(&store, &run, words)?;
            delete(&opened.artifacts, &words, store.json)
        }
    }
}

/// A run and its artifacts.
struct Opened {
    run: Run,
    artifacts: ArtifactStore,
}

/// The run's artifacts, and the words that are no overrides. Names of artifacts hold `=` too, as in `epoch=3-step=96`: only what
/// begins with a section that matters here is an override.
fn open(store: &StoreArguments, wanted: &str, words: Vec<String>) -> Result<(Opened, Vec<String>), CliError> {
    let is_override = |word: &String| {
        let is_section = ["mlflow.", "encryption."].iter().any(|section| word.starts_with(section));
        is_section && word.contains('=')
    };
    let (overrides, words): (Vec<_>, Vec<_>) = words.into_iter().partition(is_override);
    let config = embedded::source(&store.source)?.compose(&overrides)?.resolved;
    let store = open_store(&config)?;
    let run = find_run(store.as_ref(), wanted)?;
    let artifacts = fulmen_manager::artifacts_of(store.as_ref(), &run)?.ok_or_else(|| {
        CliError::usage(format!(
            "the artifacts of run {} are kept by a tracking server ({}): set mlflow.tracking_uri to it",
            run.info.run_id, run.info.artifact_uri
        ))
    })?;
    let artifacts = decrypted(artifacts, &run, &config)?;
    Ok((Opened { run, artifacts }, words))
}

/// The artifacts of a run, decrypted where the configuration or the run itself says that they are encrypted.
fn decrypted(store: ArtifactStore, run: &Run, config: &Config) -> Result<ArtifactStore, CliError> {
    let encryption = Encryption::of(config)?;
    let Some(encrypted) = encryption.settings.of_runs().or_else(|| encrypted_of(run)) else {
        return Ok(store);
    };
    let encryption = RunEncryption { keyring: encryption.open()?, encrypted: Some(encrypted) };
    Ok(encryption.artifacts(store, &run.info.run_id))
}

fn list(store: &ArtifactStore, folder: &str, recursive: bool, json: bool) -> Result<ExitCode, CliError> {
    let (folders, files) = if recursive {
        (Vec::new(), below(store, folder)?)
    } else {
        let listing = store.list(folder)?;
        (listing.folders, listing.files)
    };
    if json {
        // MLflow's words for them.
        let folders = folders.iter().map(|folder| json!({"path": folder.name.as_str(), "is_dir": true}));
        let files = files.iter().map(|file| {
            json!({"path": file.name.as_str(), "is_dir": false, "file_size": file.size, "blake3": file.digest})
        });
        say_json(&folders.chain(files).collect::<Vec<_>>());
        return Ok(ExitCode::Success);
    }
    if folders.is_empty() && files.is_empty() {
        tell("there are no artifacts");
        return Ok(ExitCode::Success);
    }
    let folders = folders
        .iter()
        .map(|folder| vec![styled(CYAN, format!("{}/", folder.name)), String::new(), String::new()]);
    let files = files.iter().map(|file| {
        let digest = file.digest.as_deref().map_or_else(String::new, |digest| styled(DIM, &digest[..16]));
        vec![file.name.to_string(), text::bytes(file.size), digest]
    });
    let head = [("name", Align::Left), ("size", Align::Right), ("blake3", Align::Left)];
    table::show(&head, folders.chain(files).collect());
    Ok(ExitCode::Success)
}

/// The names that `words` lead to: `checkpoints/best` is a link.
fn resolved(store: &ArtifactStore, words: &[String]) -> Result<Vec<String>, CliError> {
    words.iter().map(|word| Ok(store.resolve(word.trim_end_matches('/'))?)).collect()
}

/// The files that `words` name, themselves or by a folder; all where there are none.
fn named(store: &ArtifactStore, words: &[String]) -> Result<Vec<Artifact>, CliError> {
    if words.is_empty() {
        return Ok(store.files()?);
    }
    let mut found = Vec::new();
    for word in words {
        let word = word.trim_end_matches('/');
        match store.info(word) {
            Ok(file) => found.push(file),
            // A folder, or nothing; listing it tells which.
            Err(StorageError::Missing { .. } | StorageError::Type { .. }) => {
                found.extend(below(store, word)?)
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn below(store: &ArtifactStore, folder: &str) -> Result<Vec<Artifact>, CliError> {
    if folder.is_empty() {
        return Ok(store.files()?);
    }
    // That there is such a folder.
    store.list(folder)?;
    let mut files = store.files()?;
    files.retain(|file| file.name.as_str().strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')));
    Ok(files)
}

fn get(store: &ArtifactStore, words: &[String], output: &Path, json: bool) -> Result<ExitCode, CliError> {
    let mut fetched = Vec::new();
    for file in named(store, &resolved(store, words)?)? {
        let target = output.join(file.name.as_str());
        let size = store.get_file(file.name.as_str(), &target)?;
        if !json {
            say(format!("{}  {}", target.display(), styled(DIM, text::bytes(size))));
        }
        fetched.push(json!({"path": file.name.as_str(), "file": target, "file_size": size}));
    }
    if json {
        say_json(&fetched);
    } else if fetched.is_empty() {
        tell("there are no artifacts");
    }
    Ok(ExitCode::Success)
}

fn put(opened: &Opened, words: &[String], to: Option<&str>, json: bool) -> Result<ExitCode, CliError> {
    let mut files = Vec::new();
    for word in words {
        collect(Path::new(word), &mut files)?;
    }
    // All names are looked at first: a bad one adds nothing.
    let named = files.into_iter().map(|(path, name)| {
        let folder = to.map(|to| format!("{}/", to.trim_end_matches('/'))).unwrap_or_default();
        Ok((path, ArtifactName::new(&format!("{folder}{name}"))?))
    });
    let named = named.collect::<Result<Vec<_>, StorageError>>()?;
    let mut added = Vec::new();
    for (path, name) in named {
        let artifact = opened.artifacts.put_file(name.as_str(), &path)?;
        if !json {
            say(format!("{name}  {}", styled(DIM, text::bytes(artifact.size))));
        }
        added.push(json!({"path": name.as_str(), "file_size": artifact.size, "blake3": artifact.digest}));
    }
    if json {
        say_json(&json!({"run_id": opened.run.info.run_id, "added": added}));
    }
    Ok(ExitCode::Success)
}

/// The file `path` under its own name, or all files of a folder under the folder's.
fn collect(path: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<(), CliError> {
    let real =
        fs::canonicalize(path).map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?;
    let name = real.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| CliError::usage(format!("{}: its name is no text", path.display())))?;
    if !real.is_dir() {
        files.push((path.to_path_buf(), name.to_owned()));
        return Ok(());
    }
    let mut pending = vec![(path.to_path_buf(), name.to_owned())];
    while let Some((folder, name)) = pending.pop() {
        let failed = |error| CliError::usage(format!("{}: {error}", folder.display()));
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let below = format!("{name}/{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                pending.push((entry.path(), below));
            } else if kind.is_file() {
                files.push((entry.path(), below));
            } else {
                tell(format!("{}  {}: it is no file", entry.path().display(), styled(YELLOW, "passed over")));
            }
        }
    }
    files.sort();
    Ok(())
}

fn verify(store: &ArtifactStore, words: &[String], json: bool) -> Result<ExitCode, CliError> {
    let mut rows = Vec::new();
    for file in named(store, &resolved(store, words)?)? {
        let (state, message) = match store.verify(file.name.as_str()) {
            Ok(Some(_)) => ("good", None),
            Ok(None) => ("unrecorded", None),
            Err(error @ (StorageError::Digest { .. } | StorageError::Encryption(_))) => {
                ("damaged", Some(error.to_string()))
            }
            // A store that does not answer says nothing of the file.
            Err(error) => return Err(error.into()),
        };
        rows.push((file, state, message));
    }
    let damaged = rows.iter().filter(|(_, state, _)| *state == "damaged").count();
    if json {
        let rows = rows.iter().map(
            |(file, state, message)| json!({"path": file.name.as_str(), "state": state, "message": message}),
        );
        say_json(&rows.collect::<Vec<_>>());
    } else {
        for (file, state, message) in &rows {
            let style = match *state {
                "good" => GREEN,
                "damaged" => RED,
                _ => YELLOW,
            };
            say(format!("{}  {}", styled(style, state), file.name));
            if let Some(message) = message {
                tell(format!("  {message}"));
            }
        }
        let unrecorded = rows.iter().filter(|(_, state, _)| *state == "unrecorded").count();
        if unrecorded > 0 {
            tell(format!(
                "{unrecorded} file(s) were not written through the store: it has no digest of them"
            ));
        }
        tell(format!("{} file(s), {damaged} damaged", rows.len()));
    }
    Ok(if damaged == 0 { ExitCode::Success } else { ExitCode::Failure })
}

fn delete(store: &ArtifactStore, words: &[String], json: bool) -> Result<ExitCode, CliError> {
    if words.is_empty() {
        return Err(CliError::usage("name what is to be deleted: `fulmen artifacts delete <run> <path>`"));
    }
    // All are looked up first: a slip in one name deletes none.
    for word in words {
        if named(store, std::slice::from_ref(word))?.is_empty() {
            return Err(StorageError::Missing { path: word.into() }.into());
        }
    }
    for word in words {
        store.delete(word.trim_end_matches('/'))?;
        if !json {
            say(format!("deleted  {word}"));
        }
    }
    if json {
        say_json(&json!({"deleted": words}));
    }
    Ok(ExitCode::Success)
}
