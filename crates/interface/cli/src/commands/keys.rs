//! `fulmen keys`: the keys of encryption at rest.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use fulmen_configuration::Config;
use fulmen_contracts::ExitCode;
use fulmen_encryption::{EncryptionError, KeySource, Keyring, MasterKey};
use fulmen_runner::Encryption;
use serde_json::json;

use crate::arguments::{KeysArguments, KeysCommand, StoreArguments};
use crate::display::table::{self, Align};
use crate::display::time::ago;
use crate::embedded;
use crate::error::CliError;
use crate::terminal::{CYAN, DIM, GREEN, RED, say, say_json, styled, tell};

/// Makes, rotates, shows or verifies keys.
pub(crate) fn run(arguments: KeysArguments) -> Result<ExitCode, CliError> {
    match arguments.command {
        KeysCommand::Generate { output, store, overrides } => {
            generate(&Encryption::of(&compose(&store, &overrides)?)?, output.as_deref(), store.json)
        }
        KeysCommand::Rotate { to, new_data_key, store, overrides } => {
            rotate(&Encryption::of(&compose(&store, &overrides)?)?, to.as_deref(), new_data_key, store.json)
        }
        KeysCommand::Status { store, overrides } => {
            status(&Encryption::of(&compose(&store, &overrides)?)?, store.json)
        }
        KeysCommand::Verify { words, store } => {
            let (overrides, paths): (Vec<_>, Vec<_>) =
                words.into_iter().partition(|word| word.starts_with("encryption.") && word.contains('='));
            verify(&Encryption::of(&compose(&store, &overrides)?)?, &paths, store.json)
        }
    }
}

fn compose(arguments: &StoreArguments, overrides: &[String]) -> Result<Config, CliError> {
    Ok(embedded::source(&arguments.source)?.compose(overrides)?.resolved)
}

fn generate(encryption: &Encryption<'_>, output: Option<&Path>, json: bool) -> Result<ExitCode, CliError> {
    if let Some(path) = output {
        let master = MasterKey::generate();
        master.write(path)?;
        told_key(json, path, &master, None);
        return Ok(ExitCode::Success);
    }
    let (master, made) = match &encryption.source {
        Some(KeySource::File(path)) if !path.exists() => {
            let master = MasterKey::generate();
            master.write(path)?;
            (master, Some(path.clone()))
        }
        // Any other place is not this program's to write to.
        _ => (encryption.master()?, None),
    };
    let created = encryption.keyring.create(std::slice::from_ref(&master))?;
    if !created {
        // That it is this key's.
        encryption.keyring.open(std::slice::from_ref(&master))?;
    }
    let keyring = encryption.keyring.uri();
    match &made {
        Some(path) => told_key(json, path, &master, Some((keyring, created))),
        None if json => {
            say_json(&json!({"keyring": keyring, "keyring_made": created, "public_key": master.public()}))
        }
        None => {}
    }
    if !json {
        let how = if created { "made" } else { "is there already, and opens" };
        say(format!("keyring     {keyring} {}", styled(DIM, how)));
        tell("keep a copy of the master key in a safe place: without it nobody can read what is encrypted");
    }
    Ok(ExitCode::Success)
}

fn told_key(json: bool, path: &Path, master: &MasterKey, keyring: Option<(&str, bool)>) {
    if json {
        let (keyring, made) = keyring.unzip();
        say_json(&json!({
            "master_key": path, "public_key": master.public(), "keyring": keyring, "keyring_made": made,
        }));
    } else {
        say(format!("master key  {}", path.display()));
        say(format!("public key  {}", master.public()));
    }
}

fn rotate(
    encryption: &Encryption<'_>,
    to: Option<&str>,
    new_data_key: bool,
    json: bool,
) -> Result<ExitCode, CliError> {
    if to.is_none() && !new_data_key {
        return Err(CliError::usage(
            "say what is to change: --to with the new master key's place, or --new-data-key",
        ));
    }
    let old = encryption.master()?;
    let new = match to {
        Some(place) => place.parse::<KeySource>()?.load()?,
        None => old.clone(),
    };
    let change = |keyring: &mut Keyring| {
        if new_data_key {
            keyring.add_data_key();
        }
    };
    let keyring = encryption.keyring.change(&[old], &[new], change)?;
    let keys = keyring.data_keys().len();
    if json {
        say_json(&json!({"keyring": encryption.keyring.uri(), "master_key": to, "data_keys": keys}));
        return Ok(ExitCode::Success);
    }
    say(format!("{} data key(s) wrapped anew in {}", keys, encryption.keyring.uri()));
    if let Some(to) = to {
        tell(format!(
            "from now on the master key is at {to}: set encryption.master_key, or FULMEN_KEY_SOURCE"
        ));
    }
    Ok(ExitCode::Success)
}

fn status(encryption: &Encryption<'_>, json: bool) -> Result<ExitCode, CliError> {
    let settings = &encryption.settings;
    let keyring = encryption.open()?;
    let keys = keyring.data_keys();
    if json {
        let keys: Vec<_> = keys.iter().map(|key| json!({"id": key.id, "created": key.created})).collect();
        say_json(&json!({
            "keyring": encryption.keyring.uri(), "master_key": settings.master_key, "data_keys": keys,
            "encrypted": {
                "artifacts": settings.artifacts,
                "checkpoints": settings.of_runs().is_some(),
                "cache": settings.cache,
            },
        }));
        return Ok(ExitCode::Success);
    }
    let place = settings.master_key.as_deref().unwrap_or_default();
    say(format!("master key  {place}"));
    say(format!("keyring     {}", encryption.keyring.uri()));
    let word = |on| if on { styled(GREEN, "encrypted") } else { styled(DIM, "not encrypted") };
    say(format!("artifacts   {}", word(settings.artifacts)));
    say(format!("checkpoints {}", word(settings.of_runs().is_some())));
    say(format!("cache       {}\n", word(settings.cache)));
    let last = keys.len().saturating_sub(1);
    let rows = keys.iter().enumerate().map(|(index, key)| {
        let made = i64::try_from(key.created).unwrap_or(i64::MAX).saturating_mul(1000);
        let role = if index == last { "new files" } else { "files that are there" };
        vec![styled(CYAN, &key.id), ago(made), role.to_owned()]
    });
    table::show(&[("data key", Align::Left), ("made", Align::Left), ("for", Align::Left)], rows.collect());
    Ok(ExitCode::Success)
}

fn verify(encryption: &Encryption<'_>, paths: &[String], json: bool) -> Result<ExitCode, CliError> {
    let keyring = encryption.open()?;
    let mut files = Vec::new();
    for path in paths {
        collect(Path::new(path), &mut files)?;
    }
    let (mut good, mut plain, mut damaged) = (0, 0, Vec::new());
    for path in &files {
        match read_through(&keyring, path) {
            Ok(()) => good += 1,
            Err(EncryptionError::NotEncrypted { .. }) => plain += 1,
            Err(error) => {
                if !json {
                    say(format!("{}  {error}", styled(RED, "damaged")));
                }
                damaged.push(json!({"file": path, "message": error.to_string()}));
            }
        }
    }
    if json {
        say_json(
            &json!({"keyring": encryption.keyring.uri(), "good": good, "not_encrypted": plain, "damaged": damaged}),
        );
    } else {
        say(format!("keyring {}  {}", encryption.keyring.uri(), styled(GREEN, "opens, and is whole")));
        if !paths.is_empty() {
            say(format!("{good} file(s) good, {} damaged, {plain} not encrypted", damaged.len()));
        }
    }
    Ok(if damaged.is_empty() { ExitCode::Success } else { ExitCode::Failure })
}

/// Decrypts a file to its end, under whatever name it was written.
fn read_through(keyring: &Keyring, path: &Path) -> Result<(), EncryptionError> {
    let name = path.display().to_string();
    let input = File::open(path).map_err(|source| EncryptionError::Io { file: name.clone(), source })?;
    let mut reader = keyring.decrypt_any(&name, input)?;
    match io::copy(&mut reader, &mut io::sink()) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(error.downcast().unwrap_or_else(|source| EncryptionError::Io { file: name, source }))
        }
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let failed = |error: io::Error| CliError::usage(format!("{}: {error}", path.display()));
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let mut entries = fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        // A link leads to what is looked at in its own place, or elsewhere.
        if !entry.file_type().map_err(failed)?.is_symlink() {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}
